"""A level over time: its time-weighted mean between two readings (the concurrency in the in-flight report).

Pure: the caller hands in `now` (monotonic seconds). queueproxy and activator measure with this same class, because
the autoscaler adds up what both report.
"""

from __future__ import annotations


class Level:
    """A number that steps up and down, with the integral of it since the last reading."""

    __slots__ = ("_area", "_changed", "_read", "value")

    def __init__(self, now: float) -> None:
        self.value = 0
        self._area = 0.0
        self._changed = now
        self._read = now

    def step(self, now: float, by: int) -> None:
        """Change the level by `by` at `now`; the level must not fall below 0."""
        assert self.value + by >= 0, "more requests ended than began"
        self._area += self.value * (now - self._changed)
        self._changed = now
        self.value += by

    def read(self, now: float) -> tuple[float, float]:
        """Return (mean level, seconds it covers) since the last reading, and begin a new interval at `now`."""
        self.step(now, 0)
        interval_s = now - self._read
        mean = self._area / interval_s if interval_s > 0 else float(self.value)
        self._area = 0.0
        self._read = now
        return mean, interval_s
