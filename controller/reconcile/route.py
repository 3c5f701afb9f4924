"""Route → the traffic table in its status, and the marks on what it routes to.

The gateway reads the table from the status itself, so a route is programmed as soon as its traffic is resolved:
IngressReady says exactly that. A bad target changes nothing in the table; the last good state keeps serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.reconcile import labeler
from controller.reconcile.outcome import Object, Outcome
from tidegate.contracts import conditions, names, serving, traffic
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network

ASSIGNED, INGRESS, CERTIFICATE = "AllTrafficAssigned", "IngressReady", "CertificateProvisioned"


@dataclass(frozen=True)
class Observed:
    """A Route (None when it is gone), what it may refer to, and the objects that carry its name as a mark."""

    name: str
    route: Object | None
    lookup: traffic.Lookup
    marked: Sequence[Object] = field(default_factory=tuple)


def reconcile(observed: Observed, config: Network, now_unix: float) -> Outcome:
    """Return what one Route needs."""
    route = observed.route
    if route is None or route["metadata"].get("deletionTimestamp"):
        released = labeler.plan(observed.name, (), (), observed.marked, may_release=True, now_unix=now_unix)
        return Outcome(tuple(released))
    status = _status(route, observed.lookup, config, now_unix)
    updated = route | {"status": status}
    revisions, configurations = traffic.referenced(updated, observed.lookup)
    patches = labeler.plan(
        observed.name,
        [found for name in sorted(revisions) if (found := observed.lookup.revisions.get(name))],
        [found for name in sorted(configurations) if (found := observed.lookup.configurations.get(name))],
        [obj for obj in observed.marked if not _is_newborn(obj, route, observed.lookup)],
        may_release=conditions.is_ready(updated) or conditions.is_failed(updated),
        now_unix=now_unix,
    )
    return Outcome(tuple(patches), status)


def _is_newborn(obj: Object, route: Object, lookup: traffic.Lookup) -> bool:
    # A revision of the current template is born with the route's name on it, a moment before its Configuration's status
    # tells of it. Released in that moment it would be unreachable, scaled to zero, and perhaps collected.
    followed = {target.get("configurationName") for target in (route.get("spec") or {}).get("traffic") or []}
    name = (obj["metadata"].get("labels") or {}).get(names.CONFIGURATION_LABEL, "")
    owner = lookup.configurations.get(name) if name in followed else None
    return owner is not None and serving.generation_of(obj) == owner["metadata"].get("generation", 0)


def _status(route: Object, lookup: traffic.Lookup, config: Network, now_unix: float) -> Object:
    state = Conditions(conditions.ROUTE, route, now_unix)
    status: Object = dict(route.get("status") or {})
    _mark_certificate(state, is_local=network.is_cluster_local(config, route))
    if not conditions.is_observed(route):
        state.mark_unknown(INGRESS, "IngressNotConfigured", "Ingress has not yet been reconciled.")
    try:
        status["url"] = network.url(config, route)
        resolution = traffic.resolve(route, lookup, lambda tag: network.url(config, route, tag))
    except ValueError as error:
        state.mark_false(ASSIGNED, "ErrorConfig", str(error))
    else:
        status["address"] = {"url": network.local_url(route)}
        _take(resolution, status, state)
    return status | {"observedGeneration": route["metadata"].get("generation", 0), "conditions": state.finish()}


def _take(resolution: traffic.Resolution, status: Object, state: Conditions) -> None:
    if resolution.obstacle is not None:
        obstacle = resolution.obstacle
        state.mark(ASSIGNED, obstacle.status, obstacle.reason, obstacle.message)
        return
    status["traffic"] = [dict(entry) for entry in resolution.traffic]
    state.mark_true(ASSIGNED)
    state.mark_true(INGRESS)


def _mark_certificate(state: Conditions, *, is_local: bool) -> None:
    text = "TLS is not enabled for cluster-local" if is_local else "external-domain-tls is not enabled"
    state.mark_true(CERTIFICATE, "TLSNotEnabled", text)
