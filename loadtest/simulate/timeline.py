"""Levels over time for plots: each bin has the mean and the peak of a level, and bins double when there are too many.

So memory stays the same for a minute and for a month.
"""

from __future__ import annotations

BINS = 1200


class Track:
    """One level that steps up and down. Bins are `width_s` wide, from 0 on."""

    __slots__ = ("_area", "_changed", "_edge", "_peak", "means", "peaks", "value", "width_s")

    def __init__(self, width_s: float = 1.0) -> None:
        self.value = 0.0
        self.width_s = width_s
        self.means: list[float] = []
        self.peaks: list[float] = []
        self._area = 0.0
        self._peak = 0.0
        self._changed = 0.0
        self._edge = width_s

    def step(self, now: float, by: float) -> None:
        """Change the level by `by` at `now`."""
        if now >= self._edge:
            self._close_until(now)
        self._area += self.value * (now - self._changed)
        self._changed = now
        self.value += by
        self._peak = max(self._peak, self.value)

    def add(self, amount: float) -> None:
        """Add to the present bin without changing the level: what happens in no time, like an arrival."""
        self._area += amount

    def to(self, now: float, value: float) -> None:
        """Change the level to `value`."""
        self.step(now, value - self.value)

    def finish(self, now: float) -> None:
        """Close the bins before `now` and the one it lies in."""
        self.step(now, 0)
        if now > self._edge - self.width_s:
            self._close(now - (self._edge - self.width_s))

    def _close_until(self, now: float) -> None:
        while now >= self._edge:
            self._area += self.value * (self._edge - self._changed)
            self._changed = self._edge
            self._close(self.width_s)

    def _close(self, covered_s: float) -> None:
        self.means.append(self._area / covered_s)
        self.peaks.append(self._peak)
        self._area, self._peak = 0.0, self.value
        if len(self.means) >= BINS:
            self._halve()
        self._edge = (len(self.means) + 1) * self.width_s

    def _halve(self) -> None:
        self.means = [(one + two) / 2 for one, two in zip(self.means[::2], self.means[1::2], strict=True)]
        self.peaks = [max(pair) for pair in zip(self.peaks[::2], self.peaks[1::2], strict=True)]
        self.width_s *= 2
