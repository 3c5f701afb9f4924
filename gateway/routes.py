"""Host → revision, by exact weight: an immutable table made from Routes.

Pure. Each host has a wheel: a fixed sequence of revisions in which every revision has exactly its share of the slots,
spread as evenly as whole slots allow. The length of a wheel divides the sum of the percents, so any 100 requests in a
row are split exactly. A wheel's position is the one thing that moves, and it survives changes of other parts of the
Route. Only what `status` says is routed: the controller puts revisions there when they are ready.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidegate.contracts import headers

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
    """The revisions of one host in turn."""

    __slots__ = ("_position", "_slots", "namespace", "weights")

    def __init__(self, namespace: str, weights: Weights) -> None:
        self.namespace = namespace
        self.weights = weights
        self._slots = _slots(namespace, weights)
        self._position = 0

    def turn(self) -> Target:
        """Return the revision whose turn it is."""
        position = self._position
        self._position = position + 1 if position + 1 < len(self._slots) else 0
        return self._slots[position]


@dataclass(frozen=True, slots=True)
class HostedRoute:
    """What one Route object gives: its hosts, each with a wheel. `age` orders Routes that claim the same host."""

    age: str
    wheels: Mapping[str, Wheel]


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


def read_route(route: dict[str, Any], old: HostedRoute | None = None) -> HostedRoute:
    """Return the hosts of a Route object; wheels of `old` whose weights are the same go on turning."""
    metadata, status = route["metadata"], route.get("status") or {}
    name, namespace = metadata["name"], metadata.get("namespace", "")
    traffic = status.get("traffic") or ()
    hosts: dict[str, Weights] = {}
    everybody = _merge(traffic)
    if everybody:
        hosts |= dict.fromkeys(_hosts(name, namespace, status.get("url")), everybody)
        hosts |= dict.fromkeys(_hosts(name, namespace, (status.get("address") or {}).get("url")), everybody)
    for item in traffic:
        if item.get("tag") and item.get("revisionName"):
            tagged = f"{item['tag']}-{name}"
            hosts |= dict.fromkeys(_hosts(tagged, namespace, item.get("url")), ((item["revisionName"], 100),))
    return HostedRoute(metadata.get("creationTimestamp", ""), _wheels(namespace, hosts, old))


def build_table(routes: Iterable[HostedRoute]) -> Table:
    """Return the table of all Routes; the oldest Route keeps a host that several claim."""
    table: dict[str, Wheel] = {}
    for route in sorted(routes, key=lambda entry: entry.age):
        for host, wheel in route.wheels.items():
            table.setdefault(host, wheel)
    return table


def _wheels(namespace: str, hosts: dict[str, Weights], old: HostedRoute | None) -> dict[str, Wheel]:
    # Hosts with the same weights share a wheel, so that a split is exact whichever name clients use.
    shared: dict[Weights, Wheel] = {wheel.weights: wheel for wheel in old.wheels.values()} if old else {}
    return {host: shared.setdefault(weights, Wheel(namespace, weights)) for host, weights in hosts.items()}


def _hosts(name: str, namespace: str, url: str | None) -> list[str]:
    """Return the host of the URL and the names that work inside the cluster."""
    local = [f"{name}.{namespace}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local")]
    host = urlsplit(url).hostname if url else None
    return [host.lower(), *local] if host else local


def _merge(traffic: Iterable[dict[str, Any]]) -> Weights:
    merged: dict[str, int] = {}
    for item in traffic:
        percent, revision = int(item.get("percent") or 0), item.get("revisionName")
        if percent > 0 and revision:
            merged[revision] = merged.get(revision, 0) + percent
    return tuple(merged.items())


def _slots(namespace: str, weights: Weights) -> tuple[Target, ...]:
    targets = {name: Target((namespace, name), _head(namespace, name)) for name, _ in weights}
    return tuple(targets[name] for name in spread(weights))


def _head(namespace: str, revision: str) -> bytes:
    spelled = (headers.NAMESPACE.title(), namespace.encode(), headers.REVISION.title(), revision.encode())
    return b"%b: %b\r\n%b: %b\r\n" % spelled
