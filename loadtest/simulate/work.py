"""What happens inside the app: requests run side by side, undisturbed or sharing a number of cores.

Without `cores` a request takes its service time whatever else runs. With them, n requests share them evenly: each
advances at the rate min(1, cores / n) (processor sharing). Shared work is kept in attained service ("virtual time"), so
that a change of n costs one event and not n.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

from loadtest.simulate.clock import Clock, Entry


class Task(Protocol):
    """A running request: seconds of work it asks for; the rest is this module's own."""

    service_s: float
    ends_at: float
    is_running: bool
    ending: Entry | None


class Work:
    """The running requests of one pod; `ended` is called with each one that is done."""

    __slots__ = ("_attained", "_changed", "_clock", "_cores", "_ended", "_next", "_number", "_tasks", "running")

    def __init__(self, clock: Clock, cores: float, ended: Callable[[Task], None]) -> None:
        self.running = 0
        self._clock = clock
        self._cores = cores
        self._ended = ended
        # Only with cores: work done per request since the beginning, and the requests by when they end in it.
        self._attained = 0.0
        self._changed = clock.now
        self._tasks: list[tuple[float, int, Task]] = []
        self._number = 0
        self._next: Entry | None = None

    @property
    def is_shared(self) -> bool:
        """Whether requests slow each other down."""
        return self._cores > 0

    def begin(self, task: Task) -> None:
        """Run a request."""
        task.is_running = True
        if not self._cores:
            self.running += 1
            task.ending = self._clock.after(task.service_s, self._end, task)
            return
        self._advance()
        self.running += 1
        self._number += 1
        task.ends_at = self._attained + task.service_s
        heapq.heappush(self._tasks, (task.ends_at, self._number, task))
        self._plan()

    def cut(self, task: Task) -> None:
        """Stop a request that is not done."""
        task.is_running = False
        if self._cores:
            self._advance()
        elif task.ending is not None:
            Clock.cancel(task.ending)
        self.running -= 1
        if self._cores:
            self._plan()

    def _end(self, task: Task) -> None:
        self.running -= 1
        task.is_running = False
        self._ended(task)

    @property
    def _rate(self) -> float:
        return min(1.0, self._cores / self.running) if self.running else 1.0

    def _advance(self) -> None:
        now = self._clock.now
        self._attained += (now - self._changed) * self._rate
        self._changed = now

    def _plan(self) -> None:
        """Plan the next end; tasks that were cut are thrown away on the way."""
        while self._tasks and not self._tasks[0][2].is_running:
            heapq.heappop(self._tasks)
        if self._next is not None:
            Clock.cancel(self._next)
            self._next = None
        if self._tasks:
            left_s = max(0.0, self._tasks[0][0] - self._attained) / self._rate
            self._next = self._clock.after(left_s, self._end_next)

    def _end_next(self) -> None:
        self._next = None
        self._advance()
        ends_at, _, task = heapq.heappop(self._tasks)
        # What rounding left of the work is done too, so that the request cannot be planned again for the same moment.
        self._attained = max(self._attained, ends_at)
        self._end(task)
        self._plan()
