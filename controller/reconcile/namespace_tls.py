"""Namespace → one Certificate for all hosts of its Routes, where config-network selects it for that.

By Knative's rules (namespace-wildcard-cert-selector): the Certificate is called as the domain below the wildcard, and
Routes use it instead of their own once it is ready. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.reconcile import certificate, metadata
from controller.reconcile.outcome import Action, Apply, Create, Delete, Object, Outcome
from tidegate.contracts import names
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network


def reconcile(namespace: Object, made: Sequence[Object], config: Network) -> Outcome:
    """Return what one Namespace needs; `made` are the wildcard Certificates that it owns."""
    wanted = _wanted(namespace, config)
    by_name = {one["metadata"]["name"]: one for one in made}
    actions: list[Action] = [Delete(one) for name, one in by_name.items() if name not in wanted]
    for name, one in wanted.items():
        if name not in by_name:
            actions.append(Create(one))
        elif metadata.needs_apply(by_name[name], one):
            actions.append(Apply(one))
    return Outcome(tuple(actions))


def _wanted(namespace: Object, config: Network) -> dict[str, Object]:
    head = namespace["metadata"]
    selector = config.wildcard_selector
    is_asked = config.has_external_tls and config.certificate_class != names.GATEWAY_CERTIFICATE_CLASS
    if selector is None or not is_asked or head["name"] == names.CERTIFICATES_NAMESPACE:
        return {}
    if not selector.matches(head.get("labels") or {}):
        return {}
    host = network.wildcard(config, head["name"])
    if not host:
        return {}
    name, domain = host.removeprefix("*."), network.default_domain(config)
    # An owner without a namespace has its children in the one that it is.
    owner = namespace | {"metadata": head | {"namespace": head["name"]}}
    marks, issuer_class = {names.WILDCARD_LABEL: domain}, config.certificate_class
    made = certificate.desired(owner, name, [host], issuer_class=issuer_class, domain=domain, labels=marks)
    return {name: made}
