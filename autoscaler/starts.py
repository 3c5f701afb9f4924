"""How long pods of a revision take to start, and which of those that are not ready count as starting.

A start is measured from when a pod was first seen to when it was first ready; the median of the last few counts, so
that one slow node changes nothing. A pod is starting while it is younger than three times that (while nothing is known:
than the progress deadline); one that takes longer, or that was ready before, is broken rather than on its way. Pure.
"""

from __future__ import annotations

import math
from array import array
from statistics import median

SAMPLES = 9
STARTED = -math.inf
PATIENCE = 3.0
PATIENCE_MIN_S = 5.0
PODS_LIMIT = 10_000
"""Pods that are followed per revision; what is beyond is ready or not, but not measured."""


class Starts:
    """The starts of one revision."""

    __slots__ = ("_born_at", "_samples")

    def __init__(self, samples: tuple[float, ...] = ()) -> None:
        # Bytes and no dictionary: most revisions have few starts behind them, and no pod that starts now.
        self._samples = array("d", samples[-SAMPLES:]).tobytes()
        self._born_at: dict[str, float] | None = None
        """When pods were first seen; `STARTED` for those that have been ready since."""

    @property
    def samples(self) -> tuple[float, ...]:
        """The last start times in seconds, the newest last: what is worth keeping over a restart."""
        samples = array("d")
        samples.frombytes(self._samples)
        return tuple(samples)

    @property
    def start_s(self) -> float:
        """What a start takes, in seconds; 0 is unknown."""
        return median(self.samples) if self._samples else 0.0

    def see(self, pod: str, now: float, *, is_ready: bool, is_new: bool = True) -> None:
        """Note how a pod is. `is_new`: it began to exist now, rather than before we looked."""
        known = self._born_at if self._born_at is not None else {}
        born_at = known.get(pod)
        if is_ready and born_at != STARTED:
            known[pod] = STARTED
            if born_at is not None and now > born_at:
                self._keep((*self.samples, now - born_at))
        elif not is_ready and born_at is None and is_new and len(known) < PODS_LIMIT:
            known[pod] = now
        self._born_at = known or None

    def forget(self, pod: str) -> None:
        """A pod is gone."""
        if self._born_at is not None:
            self._born_at.pop(pod, None)
            self._born_at = self._born_at or None

    def packed(self) -> bytes:
        """Return the start times in four bytes each."""
        return array("f", self.samples).tobytes()

    def clear(self) -> None:
        """The revision is gone: what its starts took is nobody's any more."""
        self._samples, self._born_at = b"", None

    def recall(self, samples: tuple[float, ...]) -> None:
        """Take over start times that another process measured; what was measured here counts more."""
        self._keep((*samples, *self.samples))

    def _keep(self, samples: tuple[float, ...]) -> None:
        self._samples = array("d", samples[-SAMPLES:]).tobytes()

    def starting(self, now: float, deadline_s: float) -> int:
        """Return how many pods are on their way; `deadline_s` is the progress deadline."""
        patience_s = max(PATIENCE_MIN_S, PATIENCE * self.start_s) if self._samples else deadline_s
        return sum(now - born_at < patience_s for born_at in (self._born_at or {}).values())


def unpacked(packed: bytes) -> tuple[float, ...]:
    """Return the start times that `Starts.packed` gave, to the millisecond."""
    samples = array("f")
    samples.frombytes(packed)
    return tuple(round(sample, 3) for sample in samples)
