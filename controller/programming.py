"""Which gateways have which tables, and who waits for them. Pure; `now` is monotonic seconds.

Gateways that are ready count, and all of them. One that Kubernetes still calls ready although it has not answered for
`SILENT_S` is passed over, so that a node that died unnoticed holds nobody up for ever; that at least one answers is
asked for all the same. Its size is bounded by the gateways that are ready and the keys that wait. One more key costs
the same however many wait: they are gone through only when what all gateways have is another version than before.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from controller.reconcile.ingress import WAITING
from tidegate.contracts import programmed
from tidegate.contracts.programmed import NOTHING, Versions

SILENT_S = 60.0

NO_GATEWAY = f"{WAITING}: no gateway pod is ready"
NO_ANSWER = f"{WAITING}: no gateway pod answers the controller"

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Gateway:
    """`has`: what it told last. `silent_since`: when it first did not answer; None when it did last."""

    has: Versions = NOTHING
    silent_since: float | None = None
    was_passed: bool = False

    def counts(self, now: float) -> bool:
        return self.silent_since is None or now - self.silent_since < SILENT_S


class Programming(Generic[K]):
    """What the ready gateways have, by address, and which keys wait for what."""

    def __init__(self) -> None:
        self._gateways: dict[str, _Gateway] | None = None  # not known yet
        self._waiting: dict[K, Versions] = {}
        self._fresh: set[K] = set()
        self._newest = NOTHING
        self._seen: tuple[str, Versions | None] = ("", None)
        """The general obstacle, and what all gateways had, at the last look."""

    def __len__(self) -> int:
        return len(self._waiting)

    def set_ready(self, addresses: Collection[str]) -> None:
        """Take in which gateways are ready; what was known of any other is forgotten."""
        before = self._gateways or {}
        self._gateways = {address: before.get(address) or _Gateway() for address in sorted(addresses)}

    def answered(self, address: str, has: Versions) -> None:
        """Take in what a gateway told."""
        if self._gateways and address in self._gateways:
            self._gateways[address] = _Gateway(has)

    def was_silent(self, address: str, now: float) -> bool:
        """Take in that a gateway did not tell; returns whether it is passed over from now on."""
        gateway = (self._gateways or {}).get(address)
        if gateway is None:
            return False
        counted = gateway.counts(now)
        if gateway.silent_since is None:
            gateway.silent_since = now
        is_passed, gateway.was_passed = not counted and not gateway.was_passed, not counted
        return is_passed

    def want(self, key: K, wanted: Versions) -> None:
        """Let a key wait until all gateways have what it wants; `news` names it then."""
        self._newest = programmed.newest((self._newest, wanted)) if self._waiting else wanted
        self._waiting[key] = wanted
        self._fresh.add(key)

    def forget(self, key: K) -> None:
        """Let a key wait no longer: what it named has what it wanted, or is gone."""
        self._waiting.pop(key, None)

    def questions(self) -> dict[str, Versions]:
        """Return whom to ask, and for what: the newest that a key waits for. Who is silent is asked until it tells."""
        wanted = self._newest if self._waiting else NOTHING
        return {
            address: wanted
            for address, gateway in (self._gateways or {}).items()
            if gateway.silent_since is not None or not gateway.has.covers(wanted)
        }

    def obstacle(self, wanted: Versions, now: float) -> str:
        """Return why `wanted` is not everywhere, for a condition's message; empty when it is."""
        return self._general(now) or ("" if _covers(self._common(now), wanted) else WAITING)

    def news(self, now: float) -> set[K]:
        """Return the keys to look at: those that wait no longer, and all when the general obstacle is another one."""
        general, common = self._general(now), self._common(now)
        candidates = self._fresh & self._waiting.keys() if self._seen == (general, common) else set(self._waiting)
        done = set() if general else {key for key in candidates if _covers(common, self._waiting[key])}
        changed = set() if general == self._seen[0] else set(self._waiting)
        self._seen, self._fresh = (general, common), set()
        for key in done:
            del self._waiting[key]
        return done | changed

    def _general(self, now: float) -> str:
        if self._gateways is None:
            return ""
        if not self._gateways:
            return NO_GATEWAY
        return "" if any(gateway.counts(now) for gateway in self._gateways.values()) else NO_ANSWER

    def _common(self, now: float) -> Versions | None:
        """Return what all gateways that count have; None while nobody knows which those are."""
        if self._gateways is None:
            return None
        return programmed.common(gateway.has for gateway in self._gateways.values() if gateway.counts(now))


def _covers(common: Versions | None, wanted: Versions) -> bool:
    return common is not None and common.covers(wanted)
