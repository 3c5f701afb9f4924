"""Host → revision, by exact weight: an immutable table made from Routes.

Pure. Each host has a wheel: a fixed sequence of revisions in which every revision has exactly its share of the slots,
spread as evenly as whole slots allow. The length of a wheel divides the sum of the percents, so any 100 requests in a
row are split exactly. A wheel's position is the one thing that moves, and it survives changes of other parts of the
Route. Only what `status` says is routed: the controller puts revisions there when they are ready. Several workers each
turn wheels of their own; with different phases they stand at different slots, so that what they do together comes close
to the weights from the first requests on.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidegate.contracts import headers, names
from tidegate.contracts.config import network

Key = tuple[str, str]
"""(namespace, revision)"""

Weights = tuple[tuple[str, int], ...]
"""(revision, percent), without zeros"""


@dataclass(frozen=True, slots=True)
class Target:
    """One revision to send to; `head` are the header lines that tell the next hop which one it is."""

    key: Key
    head: bytes


class Wheel:
    """The revisions of one host in turn, beginning at `phase` (0 to 1) of a whole turn.

    `tags`: where a request goes instead that names a tag by header; empty where that is not switched on. `tag`: the
    tag whose hosts these are, where the next hop is to be told of it.
    `is_redirected`: clear text on the port for the public is sent to https.
    `explainer`: the name inside the cluster that explains what this host predicts, empty where it does so itself.
    """

    __slots__ = ("_position", "_slots", "explainer", "is_redirected", "namespace", "tag", "tags", "weights")

    def __init__(
        self,
        namespace: str,
        weights: Weights,
        phase: float = 0.0,
        tags: Mapping[bytes, Wheel] | None = None,
        tag: str = "",
    ) -> None:
        self.namespace = namespace
        self.weights = weights
        self.tags: Mapping[bytes, Wheel] = tags or {}
        self.is_redirected = False
        self.explainer = ""
        self.tag = tag
        self._slots = _slots(namespace, weights, is_default=bool(tags), tag=tag)
        self._position = int(phase * len(self._slots)) % len(self._slots)

    def with_redirect(self, is_redirected: bool) -> Wheel:
        """Return a wheel that stands where this one does, of which clear text is redirected or not."""
        other = Wheel(self.namespace, self.weights, 0.0, self.tags, self.tag)
        other._position, other.is_redirected = self._position, is_redirected
        return other

    def turn(self) -> Target:
        """Return the revision whose turn it is."""
        position = self._position
        self._position = position + 1 if position + 1 < len(self._slots) else 0
        return self._slots[position]


@dataclass(frozen=True, slots=True)
class Rules:
    """How this process reads Routes.

    `phase`: see `Wheel`. `has_tag_header`: tag-header-based-routing of config-features is Enabled.
    """

    phase: float = 0.0
    has_tag_header: bool = False


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class HostedRoute:
    """What one Route object gives: its hosts for the public and those for the cluster, each with a wheel.

    `age` orders Routes that claim the same host.
    """

    age: str
    wheels: Mapping[str, Wheel]
    local: Mapping[str, Wheel]


Table = Mapping[str, Wheel]


def spread(weights: Weights) -> list[str]:
    """Return one full turn of a wheel: each name as often as its share, as evenly interleaved as whole slots allow.

    Smooth weighted round robin: everybody earns its weight each turn, the richest is taken and pays the total.

    >>> spread((("blue", 80), ("green", 20)))
    ['blue', 'blue', 'green', 'blue', 'blue']
    """
    divisor = math.gcd(*(weight for _, weight in weights))
    shares = [(name, weight // divisor) for name, weight in weights]
    total = sum(share for _, share in shares)
    credit = dict.fromkeys((name for name, _ in shares), 0)
    turn: list[str] = []
    for _ in range(total):
        for name, share in shares:
            credit[name] += share
        richest = max(shares, key=lambda entry: credit[entry[0]])[0]
        credit[richest] -= total
        turn.append(richest)
    return turn


def read_route(route: dict[str, Any], old: HostedRoute | None = None, rules: Rules = DEFAULT_RULES) -> HostedRoute:
    """Return the hosts of a Route object; wheels of `old` whose weights are the same go on turning."""
    metadata, status = route["metadata"], route.get("status") or {}
    name, namespace = metadata["name"], metadata.get("namespace", "")
    traffic = status.get("traffic") or ()
    everybody, tagged = _merge(traffic), _tagged(traffic)
    tags = {tag.encode(): Wheel(namespace, weights) for tag, (weights, _) in tagged.items()}
    wheels = _Wheels(namespace, old, rules.phase, is_redirected=_is_redirected(route))
    public: dict[str, Wheel] = {}
    local: dict[str, Wheel] = {}
    if everybody:
        wheel = wheels.of(everybody, tags if rules.has_tag_header else {})
        wheel.explainer = _explainer(metadata)
        public |= dict.fromkeys(_public_host(status.get("url")), wheel)
        local |= dict.fromkeys(network.local_hosts(name, namespace), wheel)
    for tag, (weights, url) in tagged.items():
        wheel = wheels.of(weights, {}, tag if rules.has_tag_header else "")
        public |= dict.fromkeys(_public_host(url), wheel)
        local |= dict.fromkeys(network.local_hosts(f"{tag}-{name}", namespace), wheel)
    return HostedRoute(metadata.get("creationTimestamp", ""), public, local)


def build_table(routes: Iterable[HostedRoute]) -> Table:
    """Return the public table of all Routes; the oldest Route keeps a host that several claim."""
    table: dict[str, Wheel] = {}
    for route in sorted(routes, key=lambda entry: entry.age):
        for host, wheel in route.wheels.items():
            table.setdefault(host, wheel)
    return table


def build_local_table(routes: Iterable[HostedRoute], public: Table) -> Table:
    """Return the table for callers inside the cluster: the names of the cluster, beside everything public."""
    table: dict[str, Wheel] = {}
    for route in sorted(routes, key=lambda entry: entry.age):
        for host, wheel in route.local.items():
            table.setdefault(host, wheel)
    return {**public, **table}


def with_mappings(public: Table, local: Table, mappings: Iterable[tuple[str, str, bool]]) -> Table:
    """Return `public` with the hosts of DomainMappings: (host, name inside the cluster, whether clear text is
    redirected) each; a Route's own host wins.

    A mapping to a name that nothing is routed for is left out.
    """
    mapped = {
        host: _mapped(local[target], is_redirected) for host, target, is_redirected in mappings if target in local
    }
    return {**mapped, **public} if mapped else public


def _mapped(wheel: Wheel, is_redirected: bool) -> Wheel:
    # Whether to redirect is said by the mapping: a Route's own hosts may have certificates that this one has not.
    return wheel if wheel.is_redirected == is_redirected else wheel.with_redirect(is_redirected)


class _Wheels:
    """Hosts with the same weights share a wheel, so that a split is exact whichever name clients use."""

    def __init__(self, namespace: str, old: HostedRoute | None, phase: float, *, is_redirected: bool) -> None:
        self._namespace = namespace
        self._phase = phase
        self._is_redirected = is_redirected
        known = old.local.values() if old else ()
        self._shared = {_signature(wheel.weights, wheel.tags, wheel.tag): wheel for wheel in known}

    def of(self, weights: Weights, tags: Mapping[bytes, Wheel], tag: str = "") -> Wheel:
        signature = _signature(weights, tags, tag)
        wheel = self._shared.get(signature)
        if wheel is None:
            wheel = self._shared[signature] = Wheel(self._namespace, weights, self._phase, tags, tag)
        wheel.is_redirected = self._is_redirected
        return wheel


def _signature(weights: Weights, tags: Mapping[bytes, Wheel], tag: str) -> tuple[Hashable, ...]:
    return weights, tag, tuple((name, wheel.weights) for name, wheel in tags.items())


def _tagged(traffic: Iterable[dict[str, Any]]) -> dict[str, tuple[Weights, str | None]]:
    """Return weights and URL of every tag; one that rolls out has several rows, which share its host."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for item in traffic:
        if item.get("tag") and item.get("revisionName"):
            rows.setdefault(item["tag"], []).append(item)
    return {
        tag: (_merge(items) or ((items[0]["revisionName"], 100),), items[0].get("url")) for tag, items in rows.items()
    }


def _public_host(url: str | None) -> list[str]:
    """Return the host of a URL as a list, empty when it is a name inside the cluster."""
    host = (urlsplit(url).hostname or "").lower() if url else ""
    return [] if not host or host.endswith(f".{names.CLUSTER_DOMAIN}") else [host]


def _explainer(metadata: dict[str, Any]) -> str:
    name = (metadata.get("annotations") or {}).get(names.EXPLAINER_ANNOTATION)
    return f"{name}.{metadata.get('namespace', '')}" if name else ""


def _is_redirected(route: dict[str, Any]) -> bool:
    annotations = (route.get("status") or {}).get("annotations") or {}
    return bool(annotations.get(names.HTTP_PROTOCOL_ANNOTATION) == names.REDIRECTED)


def _merge(traffic: Iterable[dict[str, Any]]) -> Weights:
    merged: dict[str, int] = {}
    for item in traffic:
        percent, revision = int(item.get("percent") or 0), item.get("revisionName")
        if percent > 0 and revision:
            merged[revision] = merged.get(revision, 0) + percent
    return tuple(merged.items())


def _slots(namespace: str, weights: Weights, *, is_default: bool, tag: str) -> tuple[Target, ...]:
    more = b"%b: true\r\n" % headers.DEFAULT_ROUTE.title() if is_default else b""
    if tag:
        more = b"%b: %b\r\n" % (headers.TAG.title(), tag.encode())
    targets = {name: Target((namespace, name), _head(namespace, name) + more) for name, _ in weights}
    return tuple(targets[name] for name in spread(weights))


def _head(namespace: str, revision: str) -> bytes:
    spelled = (headers.NAMESPACE.title(), namespace.encode(), headers.REVISION.title(), revision.encode())
    return b"%b: %b\r\n%b: %b\r\n" % spelled
