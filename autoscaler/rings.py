"""`window.Window` for many revisions at once: one matrix per window length, a row per second and a column per revision.

A second of a hundred thousand revisions is then a few additions of whole rows. Every number comes from the same
operations in the same order as in `Window`, so both agree bit for bit. Revisions are slots, small numbers that somebody
else gives out. Pure: seconds are handed in.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler.window import DECIMALS, cut, weights

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

NEVER = -(1 << 62)
"""As the last recorded second: none."""
FIRST_COLUMNS = 64
GROWTH = 1.25


class Ring:
    """All windows of `size` seconds. Columns 0 to `used` are in use; they move when one is closed."""

    def __init__(self, size: int, head: int = 0) -> None:
        self.size = size
        self.used = 0
        self.head = head
        """The newest second that there is a row for."""
        self.buckets: Floats = np.zeros((size, FIRST_COLUMNS))
        self.total: Floats = np.zeros(FIRST_COLUMNS)
        self.first: Integers = np.zeros(FIRST_COLUMNS, np.int64)
        self.last: Integers = np.full(FIRST_COLUMNS, NEVER, np.int64)
        self.slot: Slots = np.full(FIRST_COLUMNS, -1, np.int32)
        self.is_weighted: Flags = np.zeros(FIRST_COLUMNS, np.bool_)

    def open(self, slot: int, *, is_weighted: bool) -> int:
        """Return the column of a new, empty window."""
        if self.used == len(self.slot):
            self._resize(int(self.used * GROWTH) + FIRST_COLUMNS)
        column = self.used
        self.used += 1
        self.buckets[:, column] = 0.0
        self.total[column], self.first[column], self.last[column] = 0.0, 0, NEVER
        self.slot[column], self.is_weighted[column] = slot, is_weighted
        return column

    def close(self, column: int) -> int:
        """Drop a window; the last column takes its place. Returns the slot that moved, -1 for none."""
        self.used -= 1
        moved = -1
        if column != self.used:
            for array in (self.total, self.first, self.last, self.slot, self.is_weighted):
                array[column] = array[self.used]
            self.buckets[:, column] = self.buckets[:, self.used]
            moved = int(self.slot[column])
        if FIRST_COLUMNS < len(self.slot) // 2 > self.used:
            self._resize(max(FIRST_COLUMNS, int(self.used * GROWTH)))
        return moved

    def advance(self, second: int) -> None:
        """Forget what is older than the window that ends with `second`."""
        total = self.total[: self.used]
        for at in range(self.head + 1, min(second, self.head + self.size) + 1):
            row = self.buckets[at % self.size, : self.used]
            total -= row
            row[:] = 0.0
        self.head = max(self.head, second)

    def record(self, second: int, values: Floats, said: Flags) -> None:
        """Add to `second`, for every slot where `said`, its value; both arrays are by slot."""
        self.advance(second)
        if second <= self.head - self.size or not self.used:
            return
        slot = self.slot[: self.used]
        speaks = said[slot]
        added = np.where(speaks, values[slot], 0.0)
        first, last = self.first[: self.used], self.last[: self.used]
        new = speaks & (self.head - last >= self.size)
        if new.any():
            self.total[: self.used][new] = 0.0
            first[new] = last[new] = second
        np.minimum(first, second, out=first, where=speaks)
        np.maximum(last, second, out=last, where=speaks)
        self.buckets[second % self.size, : self.used] += added
        self.total[: self.used] += added

    def record_one(self, column: int, second: int, value: float) -> None:
        """Add to one second of one window."""
        self.advance(second)
        if second <= self.head - self.size:
            return
        if self.head - self.last[column] >= self.size:
            self.total[column], self.first[column], self.last[column] = 0.0, second, second
        self.first[column] = min(int(self.first[column]), second)
        self.last[column] = max(int(self.last[column]), second)
        self.buckets[second % self.size, column] += value
        self.total[column] += value

    def averages(self, second: int) -> Floats:
        """Return every column's average as of `second`; not a number where it holds no recorded second."""
        self.advance(second)
        missing = self.head - self.last[: self.used]
        dead = missing >= self.size
        seconds = np.minimum(self.last[: self.used] - self.first[: self.used] + 1, self.size - missing)
        seconds[dead] = 1
        means: Floats = np.maximum(np.floor(self.total[: self.used] / seconds * DECIMALS) / DECIMALS, 0.0)
        weighted = np.flatnonzero(self.is_weighted[: self.used])
        if len(weighted):
            means[weighted] = self._weighted_averages(weighted)
        means[dead] = np.nan
        return means

    def average_one(self, column: int, second: int) -> float:
        """Return one column's average as of `second`; not a number where it holds no recorded second."""
        self.advance(second)
        first, last = int(self.first[column]), int(self.last[column])
        if self.head - last >= self.size:
            return math.nan
        if self.is_weighted[column]:
            return float(self._weighted_averages(np.array([column]))[0])
        return cut(float(self.total[column]) / min(last - first + 1, self.size - (self.head - last)))

    def seconds(self, column: int) -> list[tuple[int, float]]:
        """Return (second, value) from the first recorded second to the last, gaps as zero."""
        last = int(self.last[column])
        if self.head - last >= self.size:
            return []
        oldest = max(int(self.first[column]), self.head - self.size + 1)
        return [(at, float(self.buckets[at % self.size, column])) for at in range(oldest, last + 1)]

    def _weighted_averages(self, columns: npt.NDArray[np.intp]) -> Floats:
        means = np.zeros(len(columns))
        for age_s in range(self.size - 1, -1, -1):
            means += self.buckets[(self.head - age_s) % self.size, columns] * weights(self.size)[age_s]
        return np.maximum(means, 0.0)

    def _resize(self, columns: int) -> None:
        kept = self.used
        for name in ("total", "first", "last", "slot", "is_weighted"):
            old = getattr(self, name)
            new = np.zeros(columns, old.dtype)
            new[:kept] = old[:kept]
            setattr(self, name, new)
        buckets = np.zeros((self.size, columns))
        buckets[:, :kept] = self.buckets[:, :kept]
        self.buckets = buckets
