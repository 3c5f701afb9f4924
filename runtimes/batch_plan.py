"""Which waiting requests run together, and when: the plan of the adaptive batcher, without clock or I/O (pure).

Requests of one key (same datatypes and shapes) may share a batch. A batch starts when a place is free and it is full,
or its oldest request has waited `max_delay_s`, or a deadline leaves no more time. While all places are taken requests
gather, so load makes batches by itself; and a delay is not spent when the recent pace says that nobody will come to
share it. A request with more rows than a batch holds is cut into parts; no batch ever exceeds the maximum. Whoever
leaves takes its own parts along and nothing else.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

_PACE_WEIGHT = 0.2
_DURATION_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The bounds of one model's batching.

    `max_rows` per batch; `max_delay_s` that the oldest request of a batch may wait for company; `max_in_flight` batches
    at a time; `max_queue` requests waiting. `is_adaptive`: skip the delay when requests come slower than it lasts.
    """

    max_rows: int = 1
    max_delay_s: float = 0.0
    max_in_flight: int = 1
    max_queue: int = 256
    is_adaptive: bool = True

    def __post_init__(self) -> None:
        if min(self.max_rows, self.max_in_flight, self.max_queue) < 1:
            raise ValueError("max_rows, max_in_flight and max_queue are at least 1")
        if not 0 <= self.max_delay_s < math.inf:
            raise ValueError("max_delay_s is zero or more")


@dataclass(slots=True)
class Part:
    """Rows `start` to `stop` of one request."""

    member: int
    start: int
    stop: int
    is_gone: bool = False

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """Parts that run together, oldest first."""

    id: int
    key: Hashable
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)


@dataclass(slots=True)
class _Member:
    key: Hashable
    arrived: float
    deadline: float
    waiting: list[Part]


@dataclass(slots=True)
class _Line:
    """The waiting parts of one key. `earliest` is the soonest deadline among them."""

    parts: deque[Part] = field(default_factory=deque)
    rows: int = 0
    earliest: float = math.inf


class BatchPlan:
    """The waiting requests of one model and the batches under way."""

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self.in_flight = 0
        self._members: dict[int, _Member] = {}
        self._lines: dict[Hashable, _Line] = {}
        self._started = 0
        self._expected_s = 0.0
        self._pace_s = math.inf
        self._last_arrival = -math.inf

    @property
    def waiting(self) -> int:
        """How many requests have a part that has not started."""
        return len(self._members)

    def members(self) -> list[int]:
        """Return the requests that have a part which has not started, in the order in which they came."""
        return list(self._members)

    def offer(self, member: int, key: Hashable, rows: int, now: float, deadline: float = math.inf) -> bool:
        """Take in a request of `rows` rows; False when the queue is full."""
        assert rows > 0, "a request without rows has nothing to wait for"
        limits = self.limits
        # What free places are about to take does not wait: requests that come in one turn of the loop start together.
        starting = (limits.max_in_flight - self.in_flight) * limits.max_rows
        if len(self._members) >= limits.max_queue + starting:
            return False
        self._note_arrival(now)
        size = self.limits.max_rows
        parts = [Part(member, start, min(start + size, rows)) for start in range(0, rows, size)]
        self._members[member] = _Member(key, now, deadline, parts)
        line = self._lines.setdefault(key, _Line())
        line.parts.extend(parts)
        line.rows += rows
        line.earliest = min(line.earliest, deadline)
        return True

    def leave(self, member: int) -> None:
        """Forget what still waits of a request; the others keep their places. Unknown members are no error."""
        found = self._members.pop(member, None)
        if found is None:
            return
        line = self._lines[found.key]
        for part in found.waiting:
            part.is_gone = True
            line.rows -= part.rows
        self._drop_gone(found.key, line)

    def expire(self, now: float) -> list[int]:
        """Forget the requests whose deadline has passed before they started whole; returns them."""
        if all(line.earliest > now for line in self._lines.values()):
            return []
        late = [member for member, found in self._members.items() if found.deadline <= now]
        for member in late:
            self.leave(member)
        return late

    def start(self, now: float) -> Batch | None:
        """Return the next batch to run, counted as in flight from now on, or None when none is due."""
        if self.in_flight >= self.limits.max_in_flight:
            return None
        due = [(self._oldest(line), key) for key, line in self._lines.items() if self._due_at(line) <= now]
        if not due:
            return None
        key = min(due, key=lambda pair: pair[0])[1]
        parts = self._take(key)
        self.in_flight += 1
        self._started += 1
        return Batch(self._started, key, parts)

    def finish(self, took_s: float) -> None:
        """Give back the place of a batch that ran for `took_s`, well or not."""
        assert self.in_flight > 0, "more batches end than began"
        self.in_flight -= 1
        known = self._expected_s
        self._expected_s = took_s if not known else known + _DURATION_WEIGHT * (took_s - known)

    def wake_at(self) -> float | None:
        """Return when `start` should be asked again although nothing happens, or None."""
        if self.in_flight >= self.limits.max_in_flight or not self._lines:
            return None  # the end of a batch will ask
        return min(self._due_at(line) for line in self._lines.values())

    def _note_arrival(self, now: float) -> None:
        # A silence of an hour says no more than one of four delays; the pace is found again after a few arrivals.
        gap = min(now - self._last_arrival, 4 * self.limits.max_delay_s)
        self._last_arrival = now
        self._pace_s = gap if math.isinf(self._pace_s) else self._pace_s + _PACE_WEIGHT * (gap - self._pace_s)

    def _oldest(self, line: _Line) -> float:
        return self._members[line.parts[0].member].arrived

    def _due_at(self, line: _Line) -> float:
        limits = self.limits
        if line.rows >= limits.max_rows or not limits.max_delay_s:
            return -math.inf
        if limits.is_adaptive and self._pace_s >= limits.max_delay_s:
            return -math.inf
        return min(self._oldest(line) + limits.max_delay_s, line.earliest - self._expected_s)

    def _take(self, key: Hashable) -> tuple[Part, ...]:
        line = self._lines[key]
        taken: list[Part] = []
        rows = 0
        while line.parts:
            part = line.parts[0]
            if part.is_gone:
                line.parts.popleft()
                continue
            if rows + part.rows > self.limits.max_rows:
                break
            line.parts.popleft()
            taken.append(part)
            rows += part.rows
            self._is_starting(part)
        line.rows -= rows
        self._drop_gone(key, line)
        return tuple(taken)

    def _is_starting(self, part: Part) -> None:
        member = self._members[part.member]
        member.waiting.remove(part)
        if not member.waiting:
            del self._members[part.member]

    def _drop_gone(self, key: Hashable, line: _Line) -> None:
        while line.parts and line.parts[0].is_gone:
            line.parts.popleft()
        if not line.rows:
            del self._lines[key]
        elif line.earliest < math.inf:
            deadlines = (self._members[part.member].deadline for part in line.parts if not part.is_gone)
            line.earliest = min(deadlines)
