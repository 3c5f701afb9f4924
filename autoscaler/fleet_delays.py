"""`delays.delay_scale_down` for many revisions: the highest number of a while, as one matrix per length of delay.

A row is a bucket of two seconds, a column a revision. Beside the matrix stands the highest number of each column and
the bucket it is from, so that a turn looks at whole columns only where that number has become too old. Pure.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler.delays import DELAY_BUCKET_S
from autoscaler.fleet_state import FIRST_SLOTS, GROWTH

Pods = npt.NDArray[np.int64]
Slots = npt.NDArray[np.intp]

EMPTY = -1
FIRST_COLUMNS = 64


class DelayRing:
    """The history of all revisions whose delay is `size` buckets. Columns 0 to `used` are in use."""

    def __init__(self, size: int, head: int) -> None:
        self.size = size
        self.head = head
        self.used = 0
        self.buckets = np.full((size, FIRST_COLUMNS), EMPTY, np.int32)
        self.top = np.full(FIRST_COLUMNS, EMPTY, np.int32)
        self.top_at = np.zeros(FIRST_COLUMNS, np.int64)
        self.slot = np.full(FIRST_COLUMNS, -1, np.int32)

    def open(self, slot: int) -> int:
        """Return the column of a new, empty history."""
        if self.used == len(self.slot):
            more = self.used // 4 + FIRST_COLUMNS
            self.buckets = np.concatenate([self.buckets, np.full((self.size, more), EMPTY, np.int32)], axis=1)
            self.top = np.concatenate([self.top, np.full(more, EMPTY, np.int32)])
            self.top_at = np.concatenate([self.top_at, np.zeros(more, np.int64)])
            self.slot = np.concatenate([self.slot, np.full(more, -1, np.int32)])
        column = self.used
        self.used += 1
        self.buckets[:, column] = EMPTY
        self.top[column], self.top_at[column], self.slot[column] = EMPTY, 0, slot
        return column

    def close(self, column: int) -> int:
        """Drop a history; the last column takes its place. Returns the slot that moved, -1 for none."""
        self.used -= 1
        if column == self.used:
            return -1
        for array in (self.top, self.top_at, self.slot):
            array[column] = array[self.used]
        self.buckets[:, column] = self.buckets[:, self.used]
        return int(self.slot[column])

    def push(self, columns: Slots, pods: Pods, bucket: int) -> Pods:
        """Add numbers in a bucket, and return the highest of each column."""
        for at in range(self.head + 1, min(bucket, self.head + self.size) + 1):
            self.buckets[at % self.size, : self.used] = EMPTY
        self.head = max(self.head, bucket)
        row = self.buckets[bucket % self.size]
        row[columns] = np.maximum(row[columns], pods)
        top, top_at = self.top[columns].astype(np.int64), self.top_at[columns]
        is_higher = (pods >= top) | (top == EMPTY)
        top, top_at = np.where(is_higher, pods, top), np.where(is_higher, bucket, top_at)
        old = np.flatnonzero(top_at <= bucket - self.size)
        if len(old):
            top[old], top_at[old] = self._search(columns[old], bucket)
        self.top[columns], self.top_at[columns] = top, top_at
        return top

    def pairs(self, column: int) -> tuple[tuple[int, int], ...]:
        """Return (bucket, pods) of a column, pods strictly falling: the form of `state.Memory.delayed`."""
        found: list[tuple[int, int]] = []
        for bucket in range(self.head, self.head - self.size, -1):
            pods = int(self.buckets[bucket % self.size, column])
            if pods > (found[-1][1] if found else EMPTY):
                found.append((bucket, pods))
        return tuple(reversed(found))

    def _search(self, columns: Slots, bucket: int) -> tuple[Pods, Pods]:
        newest_first = (bucket - np.arange(self.size)) % self.size
        history = self.buckets[newest_first][:, columns]
        age = history.argmax(axis=0)
        return history[age, np.arange(len(columns))].astype(np.int64), bucket - age


class FleetDelays:
    """Slots to histories. A slot without a history has no delay."""

    def __init__(self) -> None:
        self._rings: dict[int, DelayRing] = {}
        self._slots = 0
        # Empty until somebody has a delay.
        self._size = np.zeros(0, np.int32)
        self._column = np.zeros(0, np.int32)

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots."""
        self._slots = max(self._slots, slots)
        if len(self._size):
            self._allocate()

    def _allocate(self) -> None:
        if self._slots > len(self._size):
            more = max(FIRST_SLOTS, self._slots - len(self._size), len(self._size) // GROWTH)
            self._size = np.concatenate([self._size, np.zeros(more, np.int32)])
            self._column = np.concatenate([self._column, np.zeros(more, np.int32)])

    def with_history(self, slots: Slots) -> Slots:
        """Return those of `slots` that have a history."""
        return slots[self._size[slots] > 0] if self._rings else slots[:0]

    def pairs(self, slot: int) -> tuple[tuple[int, int], ...]:
        """Return a slot's history in the form of `state.Memory.delayed`."""
        size = int(self._size[slot]) if self._rings else 0
        return self._rings[size].pairs(int(self._column[slot])) if size else ()

    def put(self, slot: int, pairs: tuple[tuple[int, int], ...], delay_s: float) -> None:
        """Replace a slot's history; a delay of 0 drops it."""
        self.drop(slot)
        size = math.ceil(delay_s / DELAY_BUCKET_S)
        if size > 0 and pairs:
            self._open(slot, size, pairs[-1][0], pairs)

    def drop(self, slot: int) -> None:
        """Forget a slot's history."""
        size = int(self._size[slot]) if self._rings else 0
        if not size:
            return
        ring = self._rings[size]
        moved = ring.close(int(self._column[slot]))
        if moved >= 0:
            self._column[moved] = self._column[slot]
        self._size[slot] = 0
        if not ring.used:
            del self._rings[size]

    def push(self, slots: Slots, pods: Pods, delay_s: npt.NDArray[np.float64], now: float) -> Pods:
        """Add a number for each slot at `now`, and return the highest that its delay still knows."""
        self._allocate()
        bucket = math.floor(now / DELAY_BUCKET_S)
        highest = pods.copy()
        sizes = np.ceil(delay_s / DELAY_BUCKET_S).astype(np.int64)
        misfits = self._size[slots] != sizes
        for slot, size in zip(slots[misfits].tolist(), sizes[misfits].tolist(), strict=True):
            pairs = self.pairs(slot)
            self.drop(slot)
            self._open(slot, size, bucket, pairs)
        for size in np.unique(sizes).tolist():
            where = np.flatnonzero(sizes == size)
            columns = self._column[slots[where]].astype(np.intp)
            highest[where] = self._rings[size].push(columns, pods[where], bucket)
        return highest

    def _open(self, slot: int, size: int, head: int, pairs: tuple[tuple[int, int], ...]) -> None:
        self._allocate()
        ring = self._rings.get(size)
        if ring is None:
            ring = self._rings[size] = DelayRing(size, head)
        column = ring.open(slot)
        self._size[slot], self._column[slot] = size, column
        for at, pods in pairs:
            if at > max(ring.head, head) - size:
                ring.push(np.array([column]), np.array([pods]), at)
