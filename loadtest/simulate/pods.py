"""A pod: production's limiter and meter around the app's work, and its life from start to end.

A pod starts, is ready, is told to stop, finishes what it has, and is gone. Its seconds are counted from creation to
end. It reports to nobody by itself: `on_arrival` lets the production policy run queueproxy's reporter.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from loadtest.simulate.clock import Clock
from loadtest.simulate.visit import Place, Visit
from loadtest.simulate.work import Task, Work
from queueproxy.limiter import Limiter, Offer
from queueproxy.meter import Meter
from tidegate.contracts import outcomes
from tidegate.wire.balance import Address

Left = Callable[[Visit, str], None]
"""Called with a request that left a pod, and the reason if it was refused."""


class PodState(enum.Enum):
    """What a pod is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


class Pod:
    """One pod. `cores` 0: requests do not slow each other down."""

    __slots__ = (
        "_clock",
        "_idle_since",
        "_left",
        "_limiter",
        "_work",
        "address",
        "busy_s",
        "created",
        "meter",
        "on_arrival",
        "ready_at",
        "state",
        "stopped_at",
    )

    def __init__(
        self, clock: Clock, address: Address, created: float, *, slots: int, queue_limit: int, cores: float, left: Left
    ) -> None:
        self.address = address
        self.state = PodState.STARTING
        self.created = created
        self.ready_at = -1.0  # never
        self.stopped_at = 0.0
        self.busy_s = 0.0
        self.meter = Meter(clock.now)
        self.on_arrival: Callable[[], None] = lambda: None
        self._clock = clock
        self._left = left
        self._limiter: Limiter[Visit] = Limiter(slots, queue_limit)
        self._work = Work(clock, cores, self._ended)
        self._idle_since = created

    @property
    def in_flight(self) -> int:
        """Requests that run or wait here."""
        return self.meter.in_flight

    @property
    def idle_since(self) -> float | None:
        """When the last request left (or the pod became ready); None while there is one."""
        return None if self.meter.in_flight else self._idle_since

    def become_ready(self) -> None:
        """The pod takes requests from now on."""
        self.state, self.ready_at, self._idle_since = PodState.READY, self._clock.now, self._clock.now

    def take(self, visit: Visit) -> None:
        """Run a request, let it wait for a slot, or refuse it, as queueproxy does."""
        now = self._clock.now
        visit.pod = self
        self.on_arrival()
        if not self.meter.in_flight:
            self._idle_since = now
        self.meter.arrived(now, visit.is_proxied)
        match self._limiter.offer(visit, visit.deadline):
            case Offer.RUN:
                self._begin(visit)
            case Offer.WAIT:
                visit.place = Place.QUEUE
                self._clock.at(visit.deadline, self._expire)
            case Offer.FULL:
                self._leave(visit, outcomes.QUEUE_FULL.code)

    def finish_life(self) -> float:
        """Note the end and return the seconds the pod existed."""
        self.state = PodState.GONE
        return self._clock.now - self.created

    def _begin(self, visit: Visit) -> None:
        visit.place, visit.began = Place.APP, self._clock.now
        self._work.begin(visit)
        if self._clock.now + visit.service_s > visit.deadline or self._work.is_shared:
            self._clock.at(visit.deadline, self._cut, visit)

    def _ended(self, task: Task) -> None:
        assert isinstance(task, Visit)
        self._leave(task, "")
        self._next()

    def _cut(self, visit: Visit) -> None:
        """The time of the whole request is over."""
        if visit.place is Place.APP:
            self._work.cut(visit)
            self._leave(visit, outcomes.REQUEST_TIMEOUT.code)
            self._next()

    def _next(self) -> None:
        waiter = self._limiter.finish()
        if waiter is not None:
            self._begin(waiter)

    def _expire(self) -> None:
        for visit in self._limiter.expire(self._clock.now):
            self._leave(visit, outcomes.REQUEST_TIMEOUT.code)

    def _leave(self, visit: Visit, reason: str) -> None:
        now = self._clock.now
        visit.place = Place.GONE
        self.meter.ended(now, visit.is_proxied)
        if not self.meter.in_flight:
            self.busy_s += now - self._idle_since
            self._idle_since = now
        self._left(visit, reason)
