"""Load over the last seconds: a ring of one-second buckets and its average at a given time.

Values recorded in the same second add up: every source of load writes its share. The linear average leaves out trailing
seconds that nobody recorded (late data is not zero load) and counts gaps between recorded seconds as zero. This module
knows no clock: `now` is seconds of a monotonic clock and only its whole seconds matter.
"""

from __future__ import annotations

import math

DECIMALS = 1e6
"""Averages are cut to six decimals: without that, residues of float sums would keep one pod for ever."""

SMOOTHING_SHARE = 0.9999
SMOOTHING_MIN = 0.2


class Window:
    """The recorded values of the last `ceil(window_s)` seconds."""

    __slots__ = ("_buckets", "_first", "_last", "_total")

    def __init__(self, window_s: float) -> None:
        self._buckets = [0.0] * max(1, math.ceil(window_s))
        self._first: int | None = None
        self._last = 0
        self._total = 0.0

    @property
    def size_s(self) -> int:
        """Seconds covered."""
        return len(self._buckets)

    def record(self, now: float, value: float) -> None:
        """Add `value` to the second of `now`; what is older than the window is dropped."""
        second, size = math.floor(now), len(self._buckets)
        if self._first is None or second - self._last >= size:
            self._start(second)
        elif second > self._last:
            self._forget(self._last + 1, second)
            self._last = second
        elif second <= self._last - size:
            return
        else:
            self._first = min(self._first, second)
        self._buckets[second % size] += value
        self._total += value

    def is_empty(self, now: float) -> bool:
        """Whether the window holds no recorded second.

        Knative calls a window empty one second later; in that second its average is 0, and one turn would halve the
        pods of a revision whose reports were lost.
        """
        return self._first is None or math.floor(now) - self._last >= len(self._buckets)

    def average(self, now: float) -> float:
        """Return the linear average over the seconds that have data, cut to six decimals."""
        size, second = len(self._buckets), math.floor(now)
        missing = second - self._last
        if self._first is None or missing >= size:
            return 0.0
        total, seconds = self._total, size
        if missing > 0:
            total -= sum(self._buckets[expired % size] for expired in range(self._last + 1, second + 1))
            seconds = size - missing
        mean = total / min(self._last - self._first + 1, seconds)
        return max(0.0, math.floor(mean * DECIMALS) / DECIMALS)

    def weighted_average(self, now: float) -> float:
        """Return the exponentially weighted average: the newest second weighs most, missing seconds count as zero.

        The weights are not normalised, so a short history reads low; that is how Knative defines this algorithm.
        """
        size, second = len(self._buckets), math.floor(now)
        if self._first is None or second - self._last >= size:
            return 0.0
        share: float = max(1 - (1 - SMOOTHING_SHARE) ** (1 / size), SMOOTHING_MIN)
        oldest = max(second - size + 1, self._first)
        mean: float = sum(
            self._buckets[at % size] * share * (1 - share) ** (second - at)
            for at in range(oldest, min(second, self._last) + 1)
        )
        return max(0.0, mean)

    def resize(self, window_s: float) -> None:
        """Change the length; the newest data that fits stays."""
        size = max(1, math.ceil(window_s))
        if size == len(self._buckets):
            return
        kept: list[tuple[int, float]] = []
        if self._first is not None:
            oldest = max(self._first, self._last - min(size, len(self._buckets)) + 1)
            kept = [(at, self._buckets[at % len(self._buckets)]) for at in range(oldest, self._last + 1)]
        self._buckets = [0.0] * size
        self._first, self._total = None, 0.0
        for at, value in kept:
            self.record(at, value)

    def _start(self, second: int) -> None:
        for index in range(len(self._buckets)):
            self._buckets[index] = 0.0
        self._first = self._last = second
        self._total = 0.0

    def _forget(self, first: int, last: int) -> None:
        size = len(self._buckets)
        for at in range(first, last + 1):
            self._total -= self._buckets[at % size]
            self._buckets[at % size] = 0.0
