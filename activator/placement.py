"""Seats the requests of one revision on its pods: who waited longest first, on the pod with the fewest requests in
flight.

Pure: `now` is handed in. A pod gets at most containerConcurrency requests of this activator (0: any number); who
finds no seat waits in the waiting room. Pods that refused a connection are set aside for a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from activator.waiting_room import WaitingRoom
from tidegate.wire.balance import Address, Balancer

W = TypeVar("W")


class Placement(Generic[W]):
    """The waiting room and the pods of one revision."""

    __slots__ = ("pods", "room")

    def __init__(self, container_concurrency: int, capacity: int) -> None:
        self.room: WaitingRoom[W] = WaitingRoom(capacity)
        self.pods = Balancer(container_concurrency)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits and nothing is in flight."""
        return not self.room and not self.pods.in_flight

    def seat(self, now: float) -> Address | None:
        """Seat a request that has just arrived; None when it must wait (also behind those who wait already)."""
        return None if self.room else self.pods.take(now)

    def admit(self, now: float) -> list[tuple[int, W, Address]]:
        """Seat as many waiters as there are seats; returns (ticket, waiter, pod) in order of arrival."""
        seated: list[tuple[int, W, Address]] = []
        while self.room:
            pod = self.pods.take(now)
            if pod is None:
                break
            entry = self.room.next()
            assert entry is not None
            seated.append((*entry, pod))
        return seated

    def leave(self, pod: Address) -> None:
        """Give a seat back."""
        self.pods.give_back(pod)

    def replace_pods(self, pods: Iterable[Address]) -> None:
        """Seat requests on exactly these pods from now on."""
        self.pods.replace(pods)

    def next_wake(self) -> float | None:
        """When something happens by itself: a deadline, or a pod that was set aside comes back; None when never."""
        if not self.room:
            return None
        moments = (self.room.next_deadline(), self.pods.next_return())
        return min((moment for moment in moments if moment is not None), default=None)
