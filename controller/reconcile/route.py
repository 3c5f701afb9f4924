"""Route → the traffic table in its status, the names inside the cluster, and the marks on what it routes to.

The gateways read the table from the status itself; `ingress` says when all of them have it. A bad target changes
nothing in the table; the last good state keeps serving. A gradual rollout puts the latest revision into the table step
by step, and lays its steps out once the gateways have the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.reconcile import ingress, labeler, local_tls, metadata, placeholders, public_tls, rollout
from controller.reconcile.ingress import INGRESS
from controller.reconcile.outcome import Action, Object, Outcome
from tidegate.contracts import conditions, durations, names, recreate, serving, traffic
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network

ASSIGNED, CERTIFICATE = "AllTrafficAssigned", "CertificateProvisioned"


@dataclass(frozen=True)
class Observed:
    """A Route (None when it is gone), what it may refer to, and the objects that carry its name as a mark.

    `services` are the Services that have a name that the route wants, `placeholders` all that it has made;
    `certificates` are the Certificates that it has made, and others that have a name that it wants. `obstacle`: why the
    gateways do not have the Route as it is stored, empty when they have.
    """

    name: str
    route: Object | None
    lookup: traffic.Lookup
    marked: Sequence[Object] = field(default_factory=tuple)
    services: Mapping[str, Object] = field(default_factory=dict)
    placeholders: Sequence[Object] = field(default_factory=tuple)
    certificates: Sequence[Object] = field(default_factory=tuple)
    obstacle: str = ""


def reconcile(observed: Observed, config: Network, now_unix: float) -> Outcome:
    """Return what one Route needs."""
    route = observed.route
    if route is None or route["metadata"].get("deletionTimestamp"):
        released = labeler.plan(observed.name, (), (), observed.marked, may_release=True, now_unix=now_unix)
        return Outcome(tuple(released))
    made = _Made(observed, route, config, now_unix)
    made.build()
    updated = route | {"status": made.status}
    revisions, configurations = traffic.referenced(updated, observed.lookup)
    patches = labeler.plan(
        observed.name,
        [found for name in sorted(revisions) if (found := observed.lookup.revisions.get(name))],
        [found for name in sorted(configurations) if (found := observed.lookup.configurations.get(name))],
        [obj for obj in observed.marked if not _is_newborn(obj, route, observed.lookup)],
        may_release=conditions.is_ready(updated) or conditions.is_failed(updated),
        now_unix=now_unix,
    )
    return Outcome(
        (*patches, *made.actions),
        made.status,
        rollout.next_look_s(made.rollouts, now_unix),
        is_urgent=made.is_new,
        awaits_gateways=made.awaits_gateways,
    )


def _is_newborn(obj: Object, route: Object, lookup: traffic.Lookup) -> bool:
    # A revision of the current template is born with the route's name on it, a moment before its Configuration's status
    # tells of it. Released in that moment it would be unreachable, scaled to zero, and perhaps collected.
    if recreate.is_recreate(obj) and recreate.has_given_up(obj):
        return False  # it has had its time, and takes the place of its predecessor
    followed = {target.get("configurationName") for target in (route.get("spec") or {}).get("traffic") or []}
    name = (obj["metadata"].get("labels") or {}).get(names.CONFIGURATION_LABEL, "")
    owner = lookup.configurations.get(name) if name in followed else None
    return owner is not None and serving.generation_of(obj) == owner["metadata"].get("generation", 0)


class _Made:
    """The status of one Route in the making, and what comes with it."""

    def __init__(self, observed: Observed, route: Object, config: Network, now_unix: float) -> None:
        self._observed = observed
        self._route = route
        self._config = config
        self._now = now_unix
        self._state = Conditions(conditions.ROUTE, route, now_unix)
        self.status: Object = dict(route.get("status") or {})
        self.actions: list[Action] = []
        self.rollouts: list[rollout.Rollout] = []
        self.is_new = False
        self.awaits_gateways = False
        self._secure: frozenset[str] = frozenset()

    def build(self) -> None:
        """Fill everything."""
        route, config = self._route, self._config
        if not conditions.is_observed(route):
            self._state.mark_unknown(INGRESS, "IngressNotConfigured", "Ingress has not yet been reconciled.")
        try:
            protocol = network.http_protocol(config, route)
            is_redirected = self._secure_hosts(protocol)
            self.status["url"] = self._url()
            resolution = traffic.resolve(route, self._observed.lookup, self._url, self._spread)
        except ValueError as error:
            self._state.mark_false(ASSIGNED, "ErrorConfig", str(error))
        else:
            self.status["address"] = {"url": network.local_url(config, route)}
            self._take(resolution, is_redirected=is_redirected)
        generation = route["metadata"].get("generation", 0)
        self.status |= {"observedGeneration": generation, "conditions": self._state.finish()}
        self.is_new = self._has_new_table()

    def _has_new_table(self) -> bool:
        return ingress.table_of_route(self.status) != ingress.table_of_route(self._route.get("status") or {})

    def _take(self, resolution: traffic.Resolution, *, is_redirected: bool) -> None:
        if (obstacle := resolution.obstacle) is not None:
            self._state.mark(ASSIGNED, obstacle.status, obstacle.reason, obstacle.message)
            return
        self._state.mark_true(ASSIGNED)
        desired = placeholders.wanted(self._route)
        if taken := placeholders.foreign(self._route, desired, self._observed.services):
            text = f'There is an existing placeholder Service "{taken}" that we do not own.'
            self._state.mark_false(INGRESS, "NotOwned", text)
            return
        self.actions += placeholders.plan(desired, self._observed.services, self._observed.placeholders)
        self.status["traffic"] = [dict(entry) for entry in resolution.traffic]
        self._annotate(names.ROLLOUT_STATE_ANNOTATION, rollout.encode(self.rollouts) if self._is_rolling() else "")
        self._annotate(names.HTTP_PROTOCOL_ANNOTATION, names.REDIRECTED if is_redirected else "")
        if self._is_rolling():
            text = "A gradual rollout of the latest revision(s) is in progress."
            self._state.mark_unknown(INGRESS, "RolloutInProgress", text)
            self.awaits_gateways = any(one.awaits_first_percent for one in self.rollouts)
        else:
            is_new, missing = self._has_new_table(), self._observed.obstacle
            self.awaits_gateways = ingress.mark(self._state, is_new=is_new, obstacle=missing)

    def _is_rolling(self) -> bool:
        return any(one.is_running for one in self.rollouts)

    def _annotate(self, key: str, value: str) -> None:
        annotations = {name: text for name, text in (self.status.get("annotations") or {}).items() if name != key}
        annotations |= {key: value} if value else {}
        self.status.pop("annotations", None)
        if annotations:
            self.status["annotations"] = annotations

    def _is_local(self, tag: str = "") -> bool:
        """Whether a label on a placeholder Service (the Route's own label is `network`'s) hides a name."""
        return network.is_marked_local(self._observed.services.get(network.local_name(self._route, tag)))

    def _url(self, tag: str = "") -> str:
        url = network.url(self._config, self._route, tag, is_local=self._is_local(tag))
        host = url.partition("://")[2]
        return f"https://{host}" if host in self._secure else url

    def _secure_hosts(self, protocol: str) -> bool:
        """See to the certificates of the public hosts; return whether clear text is to be redirected."""
        tags = {str(target.get("tag") or "") for target in (self._route.get("spec") or {}).get("traffic") or []}
        hosts = {
            tag: network.host(self._config, self._route, tag)
            for tag in sorted(tags | {""})
            if not self._is_local(tag) and not network.is_cluster_local(self._config, self._route)
        }
        known = self._observed.certificates
        found = public_tls.decide(self._route, self._config, hosts, known, protocol)
        actions, inside = local_tls.decide(self._route, self._config, tags | {""}, known)
        self._state.mark(CERTIFICATE, *local_tls.combined(found.condition, inside))
        self.actions += [*found.actions, *actions]
        self._secure = found.secure
        return found.is_redirected

    def _spread(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        followed = [entry for entry in entries if traffic.FOLLOWED in entry]
        targets = [_target(entry) for entry in followed]
        lookup = self._observed.lookup
        known = lookup.revisions.keys()
        duration_s = _duration_s(self._route, self._config)
        previous, is_programmed = _previous(self._route, lookup), not self._observed.obstacle
        self.rollouts = rollout.advance(previous, targets, duration_s, known, self._now, is_programmed=is_programmed)
        by_key = {one.key: one for one in self.rollouts if one.is_running}
        spread: list[dict[str, Any]] = []
        for entry in entries:
            running = by_key.get(_target(entry).key) if traffic.FOLLOWED in entry else None
            if running is None:
                spread.append(entry)
            else:
                spread += [entry | {"revisionName": name, "percent": share} for name, share in running.revisions]
        return spread


def _target(entry: Mapping[str, Any]) -> rollout.Target:
    return rollout.Target(
        entry.get("tag", ""), entry[traffic.FOLLOWED], entry["revisionName"], int(entry.get("percent") or 0)
    )


def _previous(route: Object, lookup: traffic.Lookup) -> list[rollout.Rollout]:
    """Return what is routed now as rollouts: those that run, and for all others the one revision there is."""
    status = route.get("status") or {}
    running = rollout.decode((status.get("annotations") or {}).get(names.ROLLOUT_STATE_ANNOTATION) or "[]")
    keys = {one.key for one in running}
    settled = []
    for row in status.get("traffic") or []:
        revision = lookup.revisions.get(row.get("revisionName", ""))
        percent = int(row.get("percent") or 0)
        if revision is None or not row.get("latestRevision") or not percent:
            continue
        owner = metadata.own_labels(revision).get(names.CONFIGURATION_LABEL, "")
        if (row.get("tag", ""), owner) not in keys:
            shares = ((row["revisionName"], percent),)
            settled.append(rollout.Rollout(owner, percent, shares, row.get("tag", "")))
    return running + settled


def _duration_s(route: Object, config: Network) -> float:
    annotations = metadata.own_annotations(route)
    text = next((annotations[key] for key in metadata.ROLLOUT_ANNOTATIONS if key in annotations), None)
    if text is None:
        return float(config.rollout_duration_s)
    try:
        return durations.parse_duration(text)
    except ValueError:
        return 0.0  # admission refuses it; what got in all the same switches at once
