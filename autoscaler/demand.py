"""Reports become load per revision: sources are settled once a second, and their sums go into the revisions' windows.

`sources` knows who reports and what a second of it means; this module knows which revision that is, and keeps windows
for those that are watched. Pure: `now` is handed in.
"""

from __future__ import annotations

import math

from autoscaler.sources import VALUE_LIMIT, Sources
from autoscaler.window import Window
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import RPS, WEIGHTED_EXPONENTIAL
from tidegate.contracts.report import HISTORY_S, History

Key = tuple[str, str]
"""Namespace and name of a revision."""
Book = dict[Key, int]
"""The rows that one activator has opened."""

TICK_S = 1.0
CATCH_UP_LIMIT_S = 10
TOLD_LIMIT = 10_000
"""Pods whose history is heard, per revision."""


class Windows:
    """The load of one revision over its two windows, in flight and per second."""

    __slots__ = ("is_weighted", "panic", "panic_rps", "since", "stable", "stable_rps", "told_by")

    def __init__(self, spec: ScalingSpec) -> None:
        self.is_weighted = False
        self.since: int | None = None
        """The first second recorded here; what was before is known by hearsay only."""
        self.told_by: set[str] = set()
        self.stable, self.stable_rps = Window(spec.stable_window_s), Window(spec.stable_window_s)
        self.panic, self.panic_rps = Window(spec.panic_window_s), Window(spec.panic_window_s)
        self.configure(spec)

    def configure(self, spec: ScalingSpec) -> None:
        """Give the windows the spec's lengths, keeping what they hold."""
        self.is_weighted = spec.algorithm == WEIGHTED_EXPONENTIAL
        for window in (self.stable, self.stable_rps):
            window.resize(spec.stable_window_s)
        for window in (self.panic, self.panic_rps):
            window.resize(spec.panic_window_s)

    def record(self, at: float, concurrency: float, rps: float) -> None:
        """Add to one second."""
        self.stable.record(at, concurrency)
        self.panic.record(at, concurrency)
        self.stable_rps.record(at, rps)
        self.panic_rps.record(at, rps)

    def tell(self, pod: str, second: int, concurrency: list[float], rps: list[float]) -> None:
        """Add what `pod` saw in the seconds before `second`, once, and only of the time before our own record."""
        since = self.since if self.since is not None else second
        if pod in self.told_by or len(self.told_by) >= TOLD_LIMIT or second - since > HISTORY_S:
            return
        self.told_by.add(pod)
        first = second - len(concurrency)
        for number, (level, rate) in enumerate(zip(concurrency, rps, strict=True)):
            if first + number < since:
                self.record(first + number, level, rate)

    def averages(self, metric: str, at: float) -> tuple[float, float] | None:
        """Return the averages over the stable and panic windows; None without data."""
        stable, panic = (self.stable_rps, self.panic_rps) if metric == RPS else (self.stable, self.panic)
        if stable.is_empty(at):
            return None
        if self.is_weighted:
            return stable.weighted_average(at), panic.weighted_average(at)
        return stable.average(at), panic.average(at)


class Demand:
    """The load of all revisions. A revision has a slot while it is watched or somebody reports it."""

    def __init__(self) -> None:
        self.sources = Sources()
        self._slots: dict[Key, int] = {}
        self._keys: list[Key | None] = []
        self._free: list[int] = []
        self._windows: dict[int, Windows] = {}
        self._rows: dict[int, set[int]] = {}
        self._books: dict[int, Book] = {}
        self._recorded_at: float | None = None

    def configure(self, key: Key, spec: ScalingSpec) -> None:
        """Watch a revision, or change how."""
        slot = self._slot(key)
        windows = self._windows.get(slot)
        if windows is None:
            self._windows[slot] = Windows(spec)
        else:
            windows.configure(spec)

    def forget(self, key: Key) -> None:
        """Drop a revision's windows; sources that are still connected stay, in case it comes back."""
        slot = self._slots.get(key)
        if slot is not None:
            self._windows.pop(slot, None)
            self._drop_if_bare(slot)

    def open(self, key: Key, now: float) -> int:
        """A queueproxy of the revision connected; returns its row."""
        return self._open(key, now, is_queueproxy=True)

    def open_for(self, book: Book, key: Key, now: float) -> int:
        """An activator begins to speak of a revision; its row is in `book` until either falls silent."""
        row = book[key] = self._open(key, now, is_queueproxy=False)
        self._books[row] = book
        return row

    def tell(self, pod: str, history: History, now: float) -> bool:
        """Add what a pod saw in the seconds before `now`; False where it cannot be a measurement."""
        values = (*history.concurrency, *history.rps)
        if len(history.concurrency) != len(history.rps) or len(history.rps) > HISTORY_S:
            return False
        if not all(0 <= value <= VALUE_LIMIT for value in values):
            return False
        slot = self._slots.get((history.namespace, history.revision))
        windows = None if slot is None else self._windows.get(slot)
        if windows is not None:
            windows.tell(pod, math.floor(now), history.concurrency, history.rps)
        return True

    def close(self, row: int) -> None:
        """A source ended: what it reported counts no more."""
        slot = int(self.sources.slot[row])
        book, key = self._books.pop(row, None), self._keys[slot]
        if book is not None and key is not None:
            book.pop(key, None)
        self.sources.close(row)
        rows = self._rows[slot]
        rows.discard(row)
        if not rows:
            del self._rows[slot]
            self._drop_if_bare(slot)

    def record(self, now: float) -> None:
        """Write one second of load; call it once a second. Seconds a stalled caller missed get the same mean."""
        second = math.floor(now)
        last = second - 1 if self._recorded_at is None else math.floor(self._recorded_at)
        if second <= last:
            return
        self._recorded_at = now
        seconds = range(max(last + 1, second - CATCH_UP_LIMIT_S + 1), second + 1)
        concurrency, rps, said, silent = self.sources.settle(now, len(self._keys))
        for slot in said.nonzero()[0].tolist():
            windows = self._windows.get(slot)
            if windows is not None:
                windows.since = seconds[0] if windows.since is None else windows.since
                for at in seconds:
                    windows.record(at, float(concurrency[slot]), float(rps[slot]))
        for row in silent:
            self.close(row)

    def averages(self, key: Key, metric: str, now: float) -> tuple[float, float] | None:
        """Return (stable, panic) averages of the metric; None without data.

        Read as of the last recorded second: the current one is not over, and must not read as missing.
        """
        slot = self._slots.get(key)
        windows = None if slot is None else self._windows.get(slot)
        recorded_at = self._recorded_at
        is_current = recorded_at is not None and now - recorded_at < 1.5 * TICK_S
        at = recorded_at if is_current and recorded_at else now
        return None if windows is None else windows.averages(metric, at)

    def waiting(self, key: Key, now: float) -> int:
        """Return the requests that activators have of this revision by their last word, if that is recent."""
        slot = self._slots.get(key)
        rows = self._rows.get(slot, ()) if slot is not None else ()
        return self.sources.waiting([row for row in rows if row in self._books], now)

    def is_silent(self, key: Key) -> bool:
        """Whether nobody has anything to say about this revision."""
        slot = self._slots.get(key)
        return slot is None or slot not in self._rows

    def _open(self, key: Key, now: float, *, is_queueproxy: bool) -> int:
        slot = self._slot(key)
        row = self.sources.open(slot, is_queueproxy=is_queueproxy, now=now)
        self._rows.setdefault(slot, set()).add(row)
        return row

    def _slot(self, key: Key) -> int:
        slot = self._slots.get(key)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self._keys[slot] = key
            else:
                slot = len(self._keys)
                self._keys.append(key)
            self._slots[key] = slot
        return slot

    def _drop_if_bare(self, slot: int) -> None:
        key = self._keys[slot]
        if key is None or slot in self._rows or slot in self._windows:
            return
        del self._slots[key]
        self._keys[slot] = None
        self._free.append(slot)
