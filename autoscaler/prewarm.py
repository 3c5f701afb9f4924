"""Keep or start a pod by when requests usually come: a histogram of idle times per revision.

The policy is the hybrid histogram of "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020, section 4.2): idle
times between requests fall into bins of a minute, up to four hours. Where the histogram is telling, a pod is there from
a little before the 5th percentile of the idle times until a little after the 99th. Where it is not (too few, too many
beyond its range, or too evenly spread), nothing is said and the usual rules decide. The paper's forecast for idle times
beyond the range is left out. Pure: `now` is seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from array import array

BIN_S = 60.0
BINS = 240
HEAD_SHARE = 0.05
TAIL_SHARE = 0.99
MARGIN = 0.10
COUNT_MIN = 8
"""Idle times that must be known before anything is concluded."""
BEYOND_MAX_SHARE = 0.5
VARIATION_MIN = 2.0
"""The bins' coefficient of variation from which a histogram tells something (the paper's figure)."""
COUNT_LIMIT = 60_000
"""When so many are counted all bins are halved: the old counts less, and 16 bits are enough."""


class IdleTimes:
    """The idle times of one revision, and since when it idles now."""

    __slots__ = ("_beyond", "_bins", "_count", "_is_stale", "_span_s", "idle_since")

    def __init__(self) -> None:
        self._bins = array("H", bytes(2 * BINS))
        self._beyond = 0
        self._count = 0
        self._span_s: tuple[float, float] | None = None
        self._is_stale = False
        self.idle_since: float | None = None

    def see(self, now: float, *, is_loaded: bool) -> None:
        """Note whether there is load now; the end of an idle time is what is counted."""
        if not is_loaded:
            self.idle_since = now if self.idle_since is None else self.idle_since
        elif self.idle_since is not None:
            self.count(now - self.idle_since)
            self.idle_since = None

    def count(self, idle_s: float) -> None:
        """Count one idle time; shorter than a second is none."""
        if not idle_s >= 1.0:
            return
        if self._count >= COUNT_LIMIT:
            self._halve()
        self._count += 1
        if idle_s >= BINS * BIN_S:
            self._beyond += 1
        else:
            self._bins[int(idle_s // BIN_S)] += 1
        self._is_stale = True

    def span_s(self) -> tuple[float, float] | None:
        """Return from when until when after the last request a pod should be there, in seconds; None: not known."""
        if self._is_stale:
            self._span_s, self._is_stale = self._conclude(), False
        return self._span_s

    def wants_pod(self, now: float) -> bool:
        """Whether a pod should be there now, by what is known of the idle times."""
        span = self.span_s()
        if span is None or self.idle_since is None:
            return False
        idle_s = now - self.idle_since
        return span[0] <= idle_s < span[1]

    def changes_at(self, now: float) -> float:
        """Return when `wants_pod` changes next if nothing comes; infinite for never."""
        span = self.span_s()
        if span is None or self.idle_since is None:
            return math.inf
        return next((at for edge in span if (at := self.idle_since + edge) > now), math.inf)

    def dump(self) -> dict[str, list[int]]:
        """Return what is worth keeping over a restart: bins that are not empty, by number, and what lay beyond."""
        filled = [number for number in range(BINS) if self._bins[number]]
        return {"bins": filled, "counts": [self._bins[number] for number in filled], "beyond": [self._beyond]}

    @classmethod
    def load(cls, kept: dict[str, list[int]]) -> IdleTimes:
        """Return what `dump` gave; raises ValueError for what it cannot have given."""
        times = cls()
        try:
            pairs = list(zip(kept["bins"], kept["counts"], strict=True))
            times._beyond = max(0, *kept["beyond"])
        except (KeyError, TypeError) as error:
            raise ValueError("not the idle times of a revision") from error
        for number, count in pairs:
            if not (0 <= number < BINS and 0 < count <= COUNT_LIMIT):
                raise ValueError("not the idle times of a revision")
            times._bins[number] = count
        times._count = sum(times._bins) + times._beyond
        times._is_stale = True
        return times

    def _conclude(self) -> tuple[float, float] | None:
        within = self._count - self._beyond
        if (
            self._count < COUNT_MIN
            or self._beyond > BEYOND_MAX_SHARE * self._count
            or self._variation() < VARIATION_MIN
        ):
            return None
        head = self._percentile(HEAD_SHARE * within)
        tail = self._percentile(TAIL_SHARE * within)
        return head * BIN_S * (1 - MARGIN), (tail + 1) * BIN_S * (1 + MARGIN)

    def _percentile(self, count: float) -> int:
        """Return the first bin with which at least `count` idle times (and one) are reached."""
        reached = 0
        for number in range(BINS):
            reached += self._bins[number]
            if reached >= max(1.0, count):
                return number
        return BINS - 1

    def _variation(self) -> float:
        mean = sum(self._bins) / BINS
        if mean == 0:
            return 0.0
        return math.sqrt(sum((count - mean) ** 2 for count in self._bins) / BINS) / mean

    def _halve(self) -> None:
        for number in range(BINS):
            self._bins[number] //= 2
        self._beyond //= 2
        self._count = sum(self._bins) + self._beyond
