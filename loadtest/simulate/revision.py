"""One revision's way of a request: gateway, activator, pods; by production's picking, placement and limits.

arrive → pick → (enter → wait → place) → pod → leave, as in gateway and activator; what is asked of the pods comes from
a policy. Hops take no time here: they are measured elsewhere, in microseconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from activator.placement import Placement
from gateway.pick import Backend, pick
from loadtest.distributions import Distribution
from loadtest.simulate.app import App
from loadtest.simulate.clock import Clock
from loadtest.simulate.ledger import Ledger
from loadtest.simulate.pods import Pod, PodState
from loadtest.simulate.policy import Policy
from loadtest.simulate.visit import Place, Visit
from tidegate.contracts import outcomes
from tidegate.wire.balance import Address, Balancer

ACTIVATOR: Address = ("activator", 8012)
POD_PORT = 8012


@dataclass(frozen=True)
class Machinery:
    """What pods cost in time: from creation to readiness, from stop to end, from decision to creation. `cores` that
    the requests of a pod share (0: they do not slow each other down). `waiting_capacity` of the activator."""

    start: Distribution
    stop_s: float = 1.0
    patch_s: float = 0.01
    cores: float = 0.0
    waiting_capacity: int = 10_000


class Revision:
    """The data path of one revision."""

    def __init__(
        self,
        name: str,
        app: App,
        machinery: Machinery,
        clock: Clock,
        ledger: Ledger,
        policy: Policy,
        starts: random.Random,
    ) -> None:
        self.name = name
        self.app = app
        self.machinery = machinery
        self.clock = clock
        self.ledger = ledger
        self.policy = policy
        self.scale = 0
        self.pods: dict[Address, Pod] = {}  # those that start or are ready
        self.stopping: set[Pod] = set()
        self.backend = Backend()
        self.backend.pods.limit = app.container_concurrency
        self.activators = Balancer()
        self.activators.replace([ACTIVATOR])
        self.placement: Placement[Visit] = Placement(app.container_concurrency, machinery.waiting_capacity)
        self._starts = starts
        self._pods_made = 0
        self._is_room_timed = False

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return ("default", self.name)

    @property
    def waiting(self) -> int:
        """Requests in the activator's waiting room."""
        return len(self.placement.room)

    def count(self, state: PodState) -> int:
        """Return how many pods are in a state."""
        return sum(pod.state is state for pod in self.pods.values())

    # Requests

    def arrive(self, visit: Visit) -> None:
        """Take a request as the gateway does."""
        choice = pick(self.backend, self.activators, self.clock.now)
        assert choice is not None, "the activator never refuses"
        visit.group = choice.group
        if choice.group is self.activators:
            self._enter(visit)
        else:
            self.pods[choice.address].take(visit)

    def _enter(self, visit: Visit) -> None:
        visit.is_proxied = True
        visit.ticket = self.placement.room.ticket()
        self.policy.entered(self)
        pod = self.placement.seat(self.clock.now)
        if pod is not None:
            self.pods[pod].take(visit)
        elif self.placement.room.enter(visit.ticket, visit, visit.deadline):
            visit.place = Place.ROOM
            self.ledger.waiting.step(self.clock.now, 1)
            self._time_room()
            self.policy.waits(self)
        else:
            self._finish(visit, outcomes.WAITING_ROOM_FULL.code)

    def admit(self) -> None:
        """Seat as many waiters as there are seats."""
        for _, visit, pod in self.placement.admit(self.clock.now):
            self.ledger.waiting.step(self.clock.now, -1)
            self.pods[pod].take(visit)

    def _time_room(self) -> None:
        """One timer per revision for the deadline of who waits longest."""
        deadline = self.placement.room.next_deadline()
        if deadline is not None and not self._is_room_timed:
            self._is_room_timed = True
            self.clock.at(deadline, self._expire)

    def _expire(self) -> None:
        self._is_room_timed = False
        for visit in self.placement.room.expire(self.clock.now):
            self.ledger.waiting.step(self.clock.now, -1)
            self._finish(visit, outcomes.ACTIVATION_TIMEOUT.code)
        self._time_room()

    def _left_pod(self, visit: Visit, reason: str) -> None:
        pod = visit.pod
        assert pod is not None
        if visit.is_proxied:
            self.placement.leave(pod.address)
        elif visit.group is not None:
            visit.group.give_back(pod.address)
        self._finish(visit, reason)
        if not pod.in_flight:
            self._pod_idle(pod)
        self.admit()

    def _finish(self, visit: Visit, reason: str) -> None:
        now = self.clock.now
        visit.place = Place.GONE
        if visit.is_proxied:
            self.activators.give_back(ACTIVATOR)
            self.policy.left(self)
        if reason:
            self.ledger.request_refused(now, reason)
        else:
            is_cold = visit.pod is not None and visit.pod.ready_at > visit.arrived
            self.ledger.request_answered(now, visit.began - visit.arrived, now - visit.arrived, is_cold)
        if visit.done is not None:
            visit.done(visit)

    # Pods

    def scale_to(self, pods: int) -> None:
        """Ask for a number of pods; they begin to start or to stop a patch later."""
        self.ledger.wanted.step(self.clock.now, pods - self.scale)
        self.scale = pods
        self.clock.after(self.machinery.patch_s, self._follow)

    def _follow(self) -> None:
        while len(self.pods) < self.scale:
            self.start_pod()
        surplus = len(self.pods) - self.scale
        if surplus > 0:
            # As a ReplicaSet does: first those that are not ready, then those that are ready for the shortest time.
            order = sorted(self.pods.values(), key=lambda pod: (pod.state is PodState.READY, -pod.ready_at))
            for pod in order[:surplus]:
                self.stop_pod(pod)

    def draw_start(self) -> float:
        """Return how long the next pod takes to start, in seconds."""
        return self.machinery.start.draw(self._starts)

    def start_pod(self, start_s: float | None = None, *, created: float | None = None) -> Pod:
        """Create a pod that is ready `start_s` after `created` (by default: drawn, and now)."""
        now = self.clock.now
        self._pods_made += 1
        address = (f"pod-{self._pods_made}", POD_PORT)
        app, machinery = self.app, self.machinery
        pod = Pod(
            self.clock,
            address,
            now if created is None else created,
            slots=app.container_concurrency,
            queue_limit=app.queue_limit,
            cores=machinery.cores,
            left=self._left_pod,
        )
        self.pods[address] = pod
        self.ledger.pod_created(now)
        self.policy.pod_created(self, pod)
        self.clock.at(pod.created + (self.draw_start() if start_s is None else start_s), self._pod_ready, pod)
        return pod

    def stop_pod(self, pod: Pod) -> None:
        """Take a pod out of the way of new requests; it goes when it has finished what it has."""
        if pod.state is PodState.READY:
            self.ledger.ready.step(self.clock.now, -1)
        pod.state, pod.stopped_at = PodState.STOPPING, self.clock.now
        del self.pods[pod.address]
        self.stopping.add(pod)
        self._offer_pods()
        self.policy.pod_changed(self, pod)
        if not pod.in_flight:
            self.clock.after(self.machinery.stop_s, self._pod_gone, pod)

    def _pod_ready(self, pod: Pod) -> None:
        if pod.state is not PodState.STARTING:
            return
        pod.become_ready()
        self.ledger.ready.step(self.clock.now, 1)
        self._offer_pods()
        self.policy.pod_changed(self, pod)
        self.admit()
        if not pod.in_flight:
            self.policy.pod_idle(self, pod)

    def _pod_idle(self, pod: Pod) -> None:
        if pod.state is PodState.STOPPING:
            self.clock.after(self.machinery.stop_s, self._pod_gone, pod)
        elif pod.state is PodState.READY:
            self.policy.pod_idle(self, pod)

    def _pod_gone(self, pod: Pod) -> None:
        if pod.state is PodState.GONE:
            return
        ready_at = pod.stopped_at if pod.ready_at < 0 else pod.ready_at
        starting_s = max(0.0, ready_at - pod.created)
        self.ledger.pod_gone(self.clock.now, pod.finish_life(), starting_s, pod.busy_s)
        self.stopping.discard(pod)
        self.policy.pod_changed(self, pod)

    def end(self) -> None:
        """The simulation is over: account for every pod as of now."""
        for pod in [*self.pods.values(), *self.stopping]:
            if pod.state is PodState.READY:
                self.ledger.ready.step(self.clock.now, -1)
            pod.stopped_at = pod.stopped_at or self.clock.now
            self._pod_gone(pod)

    def _offer_pods(self) -> None:
        """Endpoints changed: gateway and activator see the ready pods."""
        ready = [pod.address for pod in self.pods.values() if pod.state is PodState.READY]
        self.backend.pods.replace(ready)
        self.placement.replace_pods(ready)
