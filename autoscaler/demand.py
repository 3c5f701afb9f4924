"""Reports become load per revision: sources are settled once a second, and their sums go into the fleet's windows.

`sources` knows who reports and what a second of it means, `fleet` keeps the windows; this module gives every revision
that is watched or reported its slot in both. Pure: `now` is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from autoscaler import state
from autoscaler.fleet import Fleet
from autoscaler.fleet_state import PROXY, UNKNOWN
from autoscaler.sources import VALUE_LIMIT, Flags, Floats, Sources
from autoscaler.state import Memory
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.report import HISTORY_S, History

Key = tuple[str, str]
"""Namespace and name of a revision."""
Book = dict[Key, int]
"""The rows that one activator has opened."""

TICK_S = 1.0
CATCH_UP_LIMIT_S = 10
TOLD_LIMIT = 10_000
"""Pods whose history is heard, per revision."""
SWITCH_S = 4.0
"""How long after a change of the serving mode the same request may be in the reports of both sides: until gateways have
heard of it, and both have reported since."""
SIDE_SHARE = 0.05
"""One side has load where it has more than this part of what the other has."""
ACTIVATORS, PODS = 1, 2
"""Which sides have load, as bits."""
FIRST_SLOTS = 64
NEVER = -1


class Watched(Mapping[Key, int]):
    """The slots of the revisions that are watched."""

    def __init__(self, slots: dict[Key, int], fleet: Fleet) -> None:
        self._slots = slots
        self._fleet = fleet

    def __getitem__(self, key: Key) -> int:
        slot = self._slots[key]
        if not self._fleet.is_watched(slot):
            raise KeyError(key)
        return slot

    def __iter__(self) -> Iterator[Key]:
        return (key for key, slot in self._slots.items() if self._fleet.is_watched(slot))

    def __len__(self) -> int:
        return int(np.count_nonzero(self._fleet.state.spec_row >= 0))


class Demand:
    """The load of all revisions. A revision has a slot while it is watched or somebody reports it."""

    def __init__(self, fleet: Fleet | None = None) -> None:
        self.fleet = fleet or Fleet()
        self.sources = Sources()
        self.keys: list[Key | None] = []
        """The revision in each slot."""
        self.on_stranger: Callable[[Key], None] = lambda _key: None
        """Called when somebody begins to report a revision that is not watched."""
        self._slots: dict[Key, int] = {}
        self.watched = Watched(self._slots, self.fleet)
        self._free: list[int] = []
        self._freed: list[int] = []
        self._reporting: npt.NDArray[np.int32] = np.zeros(FIRST_SLOTS, np.int32)
        self._mode: npt.NDArray[np.int8] = np.zeros(FIRST_SLOTS, np.int8)
        self._sides: npt.NDArray[np.int8] = np.zeros(FIRST_SLOTS, np.int8)
        self._switched_at: npt.NDArray[np.float64] = np.full(FIRST_SLOTS, -np.inf)
        self._since: npt.NDArray[np.int64] = np.full(FIRST_SLOTS, NEVER, np.int64)
        self._told: dict[int, set[str]] = {}
        self._activators: dict[int, list[int]] = {}
        self._books: dict[int, Book] = {}
        self._recorded_at: float | None = None

    # Who is watched

    def configure(self, key: Key, spec: ScalingSpec, memory: Memory | None = None) -> int:
        """Watch a revision, which begins with `memory`, or change how; returns its slot."""
        slot = self._slot(key)
        if self.fleet.is_watched(slot):
            self.fleet.configure(slot, spec)
        else:
            self.fleet.add(slot, spec, memory or state.fresh(0.0))
            self._since[slot] = NEVER
        return slot

    def forget(self, key: Key) -> None:
        """Watch a revision no more; sources that are still connected stay, in case it comes back."""
        slot = self._slots.get(key)
        if slot is not None and self.fleet.is_watched(slot):
            self.fleet.remove(slot)
            self._told.pop(slot, None)
            self._drop_if_bare(slot)

    # Who reports

    def open(self, key: Key, now: float) -> int:
        """A queueproxy of the revision connected; returns its row."""
        return self._open(self._slot(key), now, is_queueproxy=True)

    def open_for(self, book: Book, key: Key, now: float) -> int:
        """An activator begins to speak of a revision; its row is in `book` until either falls silent."""
        slot = self._slot(key)
        row = book[key] = self._open(slot, now, is_queueproxy=False)
        self._books[row] = book
        self._activators.setdefault(slot, []).append(row)
        return row

    def tell(self, pod: str, history: History, now: float) -> bool:
        """Add what a pod saw in the seconds before `now`; False where it cannot be a measurement.

        Only the time before our own record is added, and from each pod once.
        """
        values = (*history.concurrency, *history.rps)
        if len(history.concurrency) != len(history.rps) or len(history.rps) > HISTORY_S:
            return False
        if not all(0 <= value <= VALUE_LIMIT for value in values):
            return False
        slot = self._slots.get((history.namespace, history.revision))
        if slot is not None and self.fleet.is_watched(slot):
            self._tell(slot, pod, math.floor(now), history)
        return True

    def close(self, row: int) -> None:
        """A source ended: what it reported counts no more."""
        slot = int(self.sources.slot[row])
        book, key = self._books.pop(row, None), self.keys[slot]
        if book is not None and key is not None:
            book.pop(key, None)
            self._activators[slot].remove(row)
            if not self._activators[slot]:
                del self._activators[slot]
        self.sources.close(row)
        self._reporting[slot] -= 1
        self._drop_if_bare(slot)

    # What comes of it

    def record(self, now: float) -> None:
        """Write one second of load; call it once a second. Seconds a stalled caller missed get the same mean."""
        second = math.floor(now)
        last = second - 1 if self._recorded_at is None else math.floor(self._recorded_at)
        if second <= last:
            return
        self._recorded_at = now
        seconds = range(max(last + 1, second - CATCH_UP_LIMIT_S + 1), second + 1)
        concurrency, rps, said, silent = self.sources.settle(
            now, len(self.keys), lambda held, own: self._switching(now, held, own)
        )
        since = self._since[: len(self.keys)]
        since[said & (since == NEVER)] = seconds[0]
        for at in seconds:
            self.fleet.record(at, concurrency, rps, said)
        for row in silent:
            self.close(row)
        for slot in [slot for slot in self._told if NEVER < since[slot] < second - HISTORY_S]:
            del self._told[slot]
        self._free += self._freed
        self._freed = []

    def as_of(self, now: float) -> int:
        """Return the second that windows are read at: the last recorded one, for the current one is not over, and must
        not read as missing."""
        recorded_at = self._recorded_at
        is_current = recorded_at is not None and now - recorded_at < 1.5 * TICK_S
        return math.floor(recorded_at if is_current and recorded_at is not None else now)

    def averages(self, key: Key, metric: str, now: float) -> tuple[float, float] | None:
        """Return (stable, panic) averages of the metric; None without data."""
        slot = self._slots.get(key)
        if slot is None or not self.fleet.is_watched(slot):
            return None
        return self.fleet.windows.averages_of(slot, metric, self.as_of(now))

    def waiting(self, key: Key, now: float) -> int:
        """Return the requests that activators have of this revision by their last word, if that is recent."""
        slot = self._slots.get(key)
        rows = self._activators.get(slot, []) if slot is not None else []
        return self.sources.waiting(rows, now)

    def waiting_by_slot(self, now: float) -> npt.NDArray[np.int64]:
        """Return the same for all slots."""
        waiting = np.zeros(len(self.keys), np.int64)
        for slot, rows in self._activators.items():
            waiting[slot] = self.sources.waiting(rows, now)
        return waiting

    def is_silent(self, key: Key) -> bool:
        """Whether nobody has anything to say about this revision."""
        slot = self._slots.get(key)
        return slot is None or not self._reporting[slot]

    def silent_slots(self) -> Flags:
        """Return the same for all slots."""
        flags: Flags = self._reporting[: len(self.keys)] == 0
        return flags

    def _switching(self, now: float, held: Floats, own: Floats) -> Flags:
        """Return the slots where the way of requests has changed a moment ago; `held`: by activators, `own`: of pods.

        The serving mode tells of most such changes. In mode Proxy gateways also go straight to the pods while the
        activator refuses connections, and come back: there the sides that have load tell. Not in mode Serve, where
        requests that come to wait in an activator because the pods are full are more load, and not the same load.
        """
        slots = min(len(self.keys), self.fleet.state.slots)
        mode = self.fleet.state.columns["serving_mode"][:slots]
        before, sides_before = self._mode[:slots], self._sides[:slots]
        sides = np.where(held > SIDE_SHARE * own, ACTIVATORS, 0) | np.where(own > SIDE_SHARE * held, PODS, 0)
        sides = sides[:slots].astype(np.int8)
        is_other_way = (mode == PROXY) & (sides_before != 0) & (sides != 0) & (sides != sides_before)
        is_other_mode = (before != UNKNOWN) & (mode != UNKNOWN) & (mode != before)
        self._switched_at[:slots][is_other_mode | is_other_way] = now
        before[:] = mode
        sides_before[sides != 0] = sides[sides != 0]
        flags: Flags = now - self._switched_at[: len(self.keys)] < SWITCH_S
        return flags

    def _tell(self, slot: int, pod: str, second: int, history: History) -> None:
        since = int(self._since[slot])
        until = second if since == NEVER else min(since, second)
        told = self._told.get(slot, set())
        if pod in told or len(told) >= TOLD_LIMIT or second - until > HISTORY_S:
            return
        self._told.setdefault(slot, told).add(pod)
        first = second - len(history.rps)
        for number, (level, rate) in enumerate(zip(history.concurrency, history.rps, strict=True)):
            if first + number < until:
                self.fleet.tell(slot, first + number, level, rate)

    def _open(self, slot: int, now: float, *, is_queueproxy: bool) -> int:
        self._reporting[slot] += 1
        row = self.sources.open(slot, is_queueproxy=is_queueproxy, now=now)
        if not self.fleet.is_watched(slot) and (key := self.keys[slot]) is not None:
            self.on_stranger(key)
        return row

    def _slot(self, key: Key) -> int:
        slot = self._slots.get(key)
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
            self.keys[slot] = key
        else:
            slot = len(self.keys)
            self.keys.append(key)
            if slot == len(self._since):
                more = max(FIRST_SLOTS, slot // 4)
                self._reporting = np.concatenate([self._reporting, np.zeros(more, np.int32)])
                self._mode = np.concatenate([self._mode, np.zeros(more, np.int8)])
                self._sides = np.concatenate([self._sides, np.zeros(more, np.int8)])
                self._switched_at = np.concatenate([self._switched_at, np.full(more, -np.inf)])
                self._since = np.concatenate([self._since, np.full(more, NEVER, np.int64)])
        self._slots[key] = slot
        return slot

    def _drop_if_bare(self, slot: int) -> None:
        key = self.keys[slot]
        if key is None or self._reporting[slot] or self.fleet.is_watched(slot):
            return
        del self._slots[key]
        self.keys[slot] = None
        self._since[slot] = NEVER
        self._mode[slot], self._sides[slot], self._switched_at[slot] = UNKNOWN, 0, -np.inf
        # Not used again before the next second: a turn in progress may still mean the revision that was here.
        self._freed.append(slot)
