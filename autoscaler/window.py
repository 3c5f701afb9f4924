"""Load over the last seconds: a ring of one-second buckets and its average at a given time.

Values recorded in the same second add up: every source of load writes its share. The linear average leaves out trailing
seconds that nobody recorded (late data is not zero load) and counts gaps between recorded seconds as zero. This module
knows no clock: `now` is seconds of a monotonic clock and only its whole seconds matter.
"""

from __future__ import annotations

import math
from functools import cache

DECIMALS = 1e6
"""Averages are cut to six decimals: without that, residues of float sums would keep one pod for ever."""

SMOOTHING_SHARE = 0.9999
SMOOTHING_MIN = 0.2


class Window:
    """The recorded values of the last `ceil(window_s)` seconds."""

    __slots__ = ("_buckets", "_first", "_head", "_last", "_total")

    def __init__(self, window_s: float) -> None:
        self._buckets = [0.0] * max(1, math.ceil(window_s))
        self._first: int | None = None
        self._last = 0
        # The newest second that the ring has room for; time only moves it forward.
        self._head = 0
        self._total = 0.0

    @property
    def size_s(self) -> int:
        """Seconds covered."""
        return len(self._buckets)

    def record(self, now: float, value: float) -> None:
        """Add `value` to the second of `now`; what is older than the window is dropped."""
        second, size = math.floor(now), len(self._buckets)
        if self._first is None:
            self._head = max(self._head, second)
        self.advance(second)
        if second <= self._head - size:
            return
        if self._first is None:
            self._first = self._last = second
        self._first, self._last = min(self._first, second), max(self._last, second)
        self._buckets[second % size] += value
        self._total += value

    def advance(self, second: int) -> None:
        """Forget what is older than the window that ends with `second`."""
        size = len(self._buckets)
        for at in range(self._head + 1, min(second, self._head + size) + 1):
            self._total -= self._buckets[at % size]
            self._buckets[at % size] = 0.0
        self._head = max(self._head, second)
        if self._first is not None and self._head - self._last >= size:
            self._first, self._total = None, 0.0

    def is_empty(self, now: float) -> bool:
        """Whether the window holds no recorded second.

        Knative calls a window empty one second later; in that second its average is 0, and one turn would halve the
        pods of a revision whose reports were lost.
        """
        return self._first is None or max(math.floor(now), self._head) - self._last >= len(self._buckets)

    def average(self, now: float) -> float:
        """Return the linear average over the seconds that have data, cut to six decimals."""
        self.advance(math.floor(now))
        if self._first is None:
            return 0.0
        seconds = min(self._last - self._first + 1, len(self._buckets) - (self._head - self._last))
        return cut(self._total / seconds)

    def weighted_average(self, now: float) -> float:
        """Return the exponentially weighted average: the newest second weighs most, missing seconds count as zero.

        The weights are not normalised, so a short history reads low; that is how Knative defines this algorithm.
        """
        self.advance(math.floor(now))
        size, mean = len(self._buckets), 0.0
        if self._first is None:
            return 0.0
        for age_s in range(size - 1, -1, -1):
            mean += self._buckets[(self._head - age_s) % size] * weights(size)[age_s]
        return max(0.0, mean)

    def resize(self, window_s: float) -> None:
        """Change the length; the newest data that fits stays."""
        size = max(1, math.ceil(window_s))
        if size == len(self._buckets):
            return
        kept = self.seconds()[-size:]
        self._buckets = [0.0] * size
        self._first, self._total = None, 0.0
        for at, value in kept:
            self.record(at, value)

    def seconds(self) -> list[tuple[int, float]]:
        """Return (second, value) from the first recorded second to the last, gaps as zero."""
        if self._first is None:
            return []
        size = len(self._buckets)
        oldest = max(self._first, self._head - size + 1)
        return [(at, self._buckets[at % size]) for at in range(oldest, self._last + 1)]


def cut(mean: float) -> float:
    """Return a mean cut to six decimals, never below zero."""
    return max(0.0, math.floor(mean * DECIMALS) / DECIMALS)


@cache
def weights(size: int) -> tuple[float, ...]:
    """Return what each second of the exponential average weighs, the newest first."""
    share: float = max(1 - (1 - SMOOTHING_SHARE) ** (1 / size), SMOOTHING_MIN)
    return tuple(share * (1 - share) ** age_s for age_s in range(size))
