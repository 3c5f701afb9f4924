"""Seats the requests of one revision on its pods: who waited longest first, on the pod with the fewest requests in
flight.

Pure: `now` is handed in. A pod gets at most containerConcurrency requests of this activator (0: any number). Who
finds no seat there gets one on a standby pod, and waits in the waiting room where there is none either. Pods that
refused a connection are set aside for a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Generic, TypeVar

from activator.waiting_room import WaitingRoom
from tidegate.wire.balance import Address, Balancer

W = TypeVar("W")


class Placement(Generic[W]):
    """The waiting room and the pods of one revision."""

    __slots__ = ("pods", "room", "secure", "standby")

    def __init__(self, container_concurrency: int, capacity: int) -> None:
        self.room: WaitingRoom[W] = WaitingRoom(capacity)
        self.pods = Balancer(container_concurrency)
        self.standby = Balancer(container_concurrency)
        self.secure: Set[Address] = frozenset()
        """The pods that are spoken to in TLS."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits and nothing is in flight."""
        return not self.room and not self.pods.in_flight and not self.standby.in_flight

    def limit(self, container_concurrency: int) -> None:
        """Give each pod at most this many requests from now on."""
        self.pods.limit = self.standby.limit = container_concurrency

    def seat(self, now: float) -> Address | None:
        """Seat a request that has just arrived; None when it must wait (also behind those who wait already)."""
        return None if self.room else self._take(now)

    def admit(self, now: float) -> list[tuple[int, W, Address]]:
        """Seat as many waiters as there are seats; returns (ticket, waiter, pod) in order of arrival."""
        seated: list[tuple[int, W, Address]] = []
        while self.room:
            pod = self._take(now)
            if pod is None:
                break
            entry = self.room.next()
            assert entry is not None
            seated.append((*entry, pod))
        return seated

    def leave(self, pod: Address) -> None:
        """Give a seat back."""
        # One address is in both only if it was used again while a request of its former pod was in flight.
        self._group(pod).give_back(pod)

    def refused(self, pod: Address, now: float) -> None:
        """Give the seat on a pod back that refused the connection, and set it aside."""
        group = self._group(pod)
        group.give_back(pod)
        group.eject(pod, now)

    def answered(self, pod: Address) -> None:
        """Forget the refusals of a pod that has just served a request."""
        self._group(pod).answered(pod)

    def stands_by(self, pod: Address) -> bool:
        """Whether a request sits on a standby pod."""
        return self.standby.in_flight_on(pod) > 0

    def replace_pods(
        self, pods: Iterable[Address], standby: Iterable[Address] = (), secure: Set[Address] = frozenset()
    ) -> None:
        """Seat requests on exactly these pods from now on; `secure` are those that are spoken to in TLS."""
        self.secure = secure
        self.pods.replace(pods)
        self.standby.replace(standby)

    def next_wake(self) -> float | None:
        """When something happens by itself: a deadline, or a pod that was set aside comes back; None when never."""
        if not self.room:
            return None
        moments = (self.room.next_deadline(), self.pods.next_return(), self.standby.next_return())
        return min((moment for moment in moments if moment is not None), default=None)

    def _take(self, now: float) -> Address | None:
        pod = self.pods.take(now)
        return self.standby.take(now) if pod is None and self.standby.addresses else pod

    def _group(self, pod: Address) -> Balancer:
        return self.standby if self.standby.in_flight_on(pod) else self.pods
