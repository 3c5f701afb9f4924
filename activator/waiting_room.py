"""The bounded queue of one revision: requests that wait for a pod, in order of arrival.

Pure. A request has a ticket from its arrival: one whose pod turned out dead goes to where it stands in that order,
not to the end. Nobody is woken here; `next` and `expire` say who is next.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

W = TypeVar("W")


class WaitingRoom(Generic[W]):
    """At most `capacity` waiters; those who come back are always let in."""

    __slots__ = ("_next_ticket", "_waiting", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._waiting: OrderedDict[int, tuple[W, float]] = OrderedDict()
        self._next_ticket = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def ticket(self) -> int:
        """Return a place in the order of arrival; taken by every request, whether it will have to wait or not."""
        self._next_ticket += 1
        return self._next_ticket

    def enter(self, ticket: int, waiter: W, deadline: float) -> bool:
        """Let the newest request in until `deadline`; False when the room is full."""
        if len(self._waiting) >= self.capacity:
            return False
        self._waiting[ticket] = (waiter, deadline)
        return True

    def come_back(self, ticket: int, waiter: W, deadline: float) -> None:
        """Put a request that had a seat and lost it where its ticket stands."""
        ahead = []
        while self._waiting and next(iter(self._waiting)) < ticket:
            ahead.append(self._waiting.popitem(last=False))
        self._put_first(ticket, (waiter, deadline))
        for other, entry in reversed(ahead):
            self._put_first(other, entry)

    def next(self) -> tuple[int, W] | None:
        """Remove and return (ticket, waiter) of who has waited longest, None when nobody waits."""
        if not self._waiting:
            return None
        ticket, (waiter, _) = self._waiting.popitem(last=False)
        return ticket, waiter

    def first(self) -> W | None:
        """Return who has waited longest, without removing it; None when nobody waits."""
        return next(iter(self._waiting.values()))[0] if self._waiting else None

    def abandon(self, ticket: int) -> None:
        """Let a waiter go that does not want to wait any longer."""
        del self._waiting[ticket]

    def expire(self, now: float) -> list[W]:
        """Remove and return the waiters whose deadline has passed.

        A revision has one timeout, so deadlines stand in the order of arrival and the head is enough.
        """
        late: list[W] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            late.append(self._waiting.popitem(last=False)[1][0])
        return late

    def next_deadline(self) -> float | None:
        """When `expire` has something to do next, None when nobody waits."""
        return next(iter(self._waiting.values()))[1] if self._waiting else None

    def _put_first(self, ticket: int, entry: tuple[W, float]) -> None:
        self._waiting[ticket] = entry
        self._waiting.move_to_end(ticket, last=False)
