"""The certificates of a route's names inside the cluster (cluster-local-domain-tls), one for it and one for each tag.

Knative's rules: with the setting on, addresses inside are https, and a route is ready once their certificates are.
Clear text is served on besides. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.reconcile import certificate, public_tls
from controller.reconcile.outcome import Action, Object
from controller.reconcile.public_tls import Mark
from tidegate.contracts import names
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network

SUFFIX = "-local"


def decide(
    route: Object, config: Network, tags: Iterable[str], known: Sequence[Object]
) -> tuple[tuple[Action, ...], Mark | None]:
    """Return what the names of a route and of its tags ("" is the route's own) need, and what that says of the route.

    `known` are the Certificates that the route has made and those of names that it wants. No mark: nothing to say.
    """
    if not config.has_local_tls:
        return public_tls.leftover(route, known, (), names.CLUSTER_LOCAL_DOMAIN), None
    wanted = [_wanted(route, tag, config) for tag in sorted(tags)]
    by_name = {one["metadata"]["name"]: one for one in known}
    kept = [one["metadata"]["name"] for one in wanted]
    actions: list[Action] = [*public_tls.leftover(route, known, kept, names.CLUSTER_LOCAL_DOMAIN)]
    marks: list[Mark] = []
    for one in wanted:
        found = by_name.get(one["metadata"]["name"])
        action, mark = public_tls.settle(route, found, one, is_redirecting=True)
        actions += action
        if mark is not None:
            marks.append(mark)
    return tuple(actions), public_tls.worst(marks)


def combined(public: Mark, local: Mark | None) -> Mark:
    """Return what CertificateProvisioned says for both sides: the worse one, or that clear text is served."""
    if local is None:
        return public
    return public_tls.worst([public, local] if public[1] == public_tls.DOWNGRADE else [local, public])


def _wanted(route: Object, tag: str, config: Network) -> Object:
    name = certificate.route_certificate_name(route, tag, SUFFIX)
    hosts = network.local_hosts(network.local_name(route, tag), route["metadata"]["namespace"])
    # The gateway's own certificate is for hosts of the public.
    found = network.certificate_class(config, route)
    issuer_class = names.OWN_CERTIFICATE_CLASS if found == names.GATEWAY_CERTIFICATE_CLASS else found
    return certificate.desired(
        route,
        name,
        hosts,
        issuer_class=issuer_class,
        purpose=names.CLUSTER_LOCAL_DOMAIN,
        domain=names.CLUSTER_DOMAIN,
    )
