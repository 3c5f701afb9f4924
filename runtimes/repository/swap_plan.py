"""Which model is loaded next and what goes for it, when not all fit: the plan, without clock or I/O (pure).

Requests for a model in memory are served; those for another wait here. The model for which most requests wait is next
(a load serves them all), or the one whose first request has waited for half of `max_wait_s`. For it go the models used
least recently: never one in use, never a pinned one, and none before it has been in memory for `min_residency_s` (so
that A B A C B A A becomes A A A A B B C instead of a load per request), unless no request came for a while: then
everybody waits here, and waiting longer gathers nobody. One swap at a time: what is needed most is asked anew after
each. When the first request has waited for `max_wait_s`, residency no longer counts, and a model that is always in use
is drained: its new requests wait like all others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass

Key = Hashable
OLD_AT = 0.5
"""share of `max_wait_s` after which age counts, not the number of those who wait"""
QUIET_GAPS = 4.0
LEAST_QUIET_S = 0.002
"""it is quiet when no request came for four times the usual pause before one that waits, and 2 ms at least; the pause
is counted from a load's end where that is later, since clients that had their answer ask on"""
_GAP_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class SwapLimits:
    """`budget_bytes` for all models together (infinite: no limit); `max_waiting` requests wait at the most."""

    budget_bytes: float = math.inf
    min_residency_s: float = 1.0
    max_wait_s: float = 10.0
    max_waiting: int = 1000


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory; `last_used` and `loaded_at` are seconds of the caller's clock.

    `is_leaving`: it is being unloaded, and its memory is not free yet.
    """

    key: Key
    size_bytes: float
    loaded_at: float
    last_used: float
    is_in_use: bool = False
    is_pinned: bool = False
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Unload `evict`, then load `key`."""

    key: Key
    evict: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Evict:
    """Unload these: what was loaded last turned out larger than expected."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Let no new request to `key`: it has to go for one that waited too long."""

    key: Key


@dataclass(frozen=True, slots=True)
class Refuse:
    """This model never fits: it needs `needed_bytes`, and only `possible_bytes` can be made free."""

    key: Key
    needed_bytes: float
    possible_bytes: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before `until` (infinite: before a model falls idle)."""

    until: float = math.inf


Step = Load | Evict | Drain | Refuse | Wait


@dataclass(slots=True)
class _Waiting:
    since: float
    needed_bytes: float
    tickets: set[int]


class SwapPlan:
    """The requests that wait for a model to be loaded."""

    def __init__(self, limits: SwapLimits) -> None:
        self.limits = limits
        self._waiting: dict[Key, _Waiting] = {}
        self._key_of: dict[int, Key] = {}
        self._last_ticket = 0
        self._wanted_at = self._settled_at = -math.inf
        self._gap_s = limits.min_residency_s

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._key_of)

    def want(self, key: Key, needed_bytes: float, now: float) -> int | None:
        """Take in a request for a model that is not in memory; returns its ticket, None when too many wait."""
        if self.waiting >= self.limits.max_waiting:
            return None
        gap_s = now - max(self._wanted_at, self._settled_at)
        self._gap_s += (min(gap_s, self.limits.min_residency_s) - self._gap_s) * _GAP_WEIGHT
        self._wanted_at = now
        self._last_ticket += 1
        ticket = self._last_ticket
        self._waiting.setdefault(key, _Waiting(now, needed_bytes, set())).tickets.add(ticket)
        self._key_of[ticket] = key
        return ticket

    def leave(self, ticket: int) -> None:
        """A request left. The others of its model keep their place. A ticket that is settled already is no error."""
        key = self._key_of.pop(ticket, None)
        if key is None:
            return
        found = self._waiting[key]
        found.tickets.discard(ticket)
        if not found.tickets:
            del self._waiting[key]

    def settle(self, key: Key, now: float = -math.inf) -> None:
        """The load of a model ended at `now`, well or not: nobody waits for it any more until somebody asks anew."""
        self._settled_at = max(self._settled_at, now)
        found = self._waiting.pop(key, None)
        for ticket in found.tickets if found is not None else ():
            del self._key_of[ticket]

    def next(self, residents: Iterable[Resident], loading: Collection[Key], loading_bytes: float, now: float) -> Step:
        """Return the next step. `loading` are models whose load has begun, and `loading_bytes` what they will need."""
        known = list(residents)
        used = sum(each.size_bytes for each in known)
        staying = [each for each in known if not each.is_leaving]
        excess = sum(each.size_bytes for each in staying) - self.limits.budget_bytes
        if excess > 0 and (victims := _superfluous(staying, excess)):
            return Evict(victims)
        key = self._chosen(loading, now)
        if key is None:
            return Wait()
        needed = self._waiting[key].needed_bytes
        missing = used + loading_bytes + needed - self.limits.budget_bytes
        if missing <= 0:
            return Load(key)
        possible = self.limits.budget_bytes - sum(each.size_bytes for each in known if each.is_pinned)
        if needed > possible:
            return Refuse(key, needed, possible)
        if loading:
            return Wait()  # its end is a turn of its own
        return self._make_room(key, missing, staying, now)

    def _chosen(self, loading: Collection[Key], now: float) -> Key | None:
        wanted = [(key, each) for key, each in self._waiting.items() if key not in loading]
        if not wanted:
            return None
        oldest = min(wanted, key=lambda pair: pair[1].since)
        if now >= oldest[1].since + self.limits.max_wait_s * OLD_AT:
            return oldest[0]
        return max(wanted, key=lambda pair: (len(pair[1].tickets), -pair[1].since))[0]

    def _make_room(self, key: Key, missing: float, known: list[Resident], now: float) -> Step:
        late_at = self._waiting[key].since + self.limits.max_wait_s
        movable = sorted((each for each in known if not each.is_pinned), key=lambda each: each.last_used)
        idle = [each for each in movable if not each.is_in_use]
        quiet_at = max([self._wanted_at, self._settled_at, *(each.last_used for each in known)]) + max(
            self._gap_s * QUIET_GAPS, LEAST_QUIET_S
        )
        is_late, may_all_go = now >= late_at, now >= min(late_at, quiet_at)
        ripe = [each for each in idle if may_all_go or each.loaded_at + self.limits.min_residency_s <= now]
        victims = _enough(ripe, missing)
        if victims:
            return Load(key, victims)
        if is_late:
            busy = next((each for each in movable if each.is_in_use), None)
            return Drain(busy.key) if busy is not None else Wait()
        # Another model's turn may come by age before: then it is that one's to make room.
        looks = [each.since + self.limits.max_wait_s * OLD_AT for other, each in self._waiting.items() if other != key]
        if len(idle) > len(ripe):
            looks += [quiet_at, *(each.loaded_at + self.limits.min_residency_s for each in idle if each not in ripe)]
        return Wait(min([late_at, *(at for at in looks if at > now)]))


def _superfluous(staying: list[Resident], excess: float) -> tuple[Key, ...]:
    """Return the idle ones to unload for `excess` bytes, as far as there are; never the one that was loaded last."""
    last = max(each.loaded_at for each in staying)
    idle = [each for each in staying if not (each.is_in_use or each.is_pinned) and each.loaded_at < last]
    chosen: list[Key] = []
    for each in sorted(idle, key=lambda each: each.last_used):
        if excess <= 0:
            break
        chosen.append(each.key)
        excess -= each.size_bytes
    return tuple(chosen)


def _enough(candidates: list[Resident], missing: float) -> tuple[Key, ...]:
    """Return the first of the candidates that free `missing` bytes together; nothing when all of them do not."""
    chosen: list[Key] = []
    for each in candidates:
        if missing <= 0:
            break
        chosen.append(each.key)
        missing -= each.size_bytes
    return tuple(chosen) if missing <= 0 else ()
