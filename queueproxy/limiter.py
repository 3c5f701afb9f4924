"""Concurrency slots and the bounded FIFO in front of them.

Pure: the pipeline offers each request, and says when it has ended; this says who runs, who waits, who is turned away.
A waiter is any hashable value of the pipeline. It wakes nobody itself: `finish` and `expire` return who is next.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

W = TypeVar("W", bound=Hashable)


class Offer(enum.Enum):
    """What became of an offered request."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


# Looked up once: on the class each look-up is a call.
RUN: Final = Offer.RUN
WAIT: Final = Offer.WAIT
FULL: Final = Offer.FULL


class Limiter(Generic[W]):
    """At most `slots` requests run (0: any number) and at most `queue_limit` wait, in order of arrival."""

    __slots__ = ("_waiting", "queue_limit", "running", "slots")

    def __init__(self, slots: int, queue_limit: int) -> None:
        self.slots = slots
        self.queue_limit = queue_limit
        self.running = 0
        self._waiting: OrderedDict[W, float] = OrderedDict()  # to its deadline; 0 is none

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def offer(self, waiter: W, deadline: float = 0.0) -> Offer:
        """Take a slot, a place in the queue (until `deadline`, 0: as long as it takes), or nothing."""
        if not self.slots or self.running < self.slots:
            self.running += 1
            return RUN
        if len(self._waiting) >= self.queue_limit:
            return FULL
        self._waiting[waiter] = deadline
        return WAIT

    def finish(self) -> W | None:
        """Give back one slot; returns the waiter that has it now."""
        assert self.running > 0, "more requests finished than ran"
        if self._waiting:
            return self._waiting.popitem(last=False)[0]
        self.running -= 1
        return None

    def abandon(self, waiter: W) -> None:
        """Give up a place in the queue."""
        del self._waiting[waiter]

    def expire(self, now: float) -> list[W]:
        """Remove and return the waiters whose deadline has passed.

        All requests of a pod have the same limits, so deadlines stand in the order of the queue and the head is
        enough.
        """
        late: list[W] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            late.append(self._waiting.popitem(last=False)[0])
        return late

    def next_deadline(self) -> float | None:
        """When `expire` has something to do next, None when it has not."""
        if not self._waiting:
            return None
        return next(iter(self._waiting.values())) or None
