"""The production autoscaler as a policy: its decisions, its windows, the activator's pokes, queueproxy's reports.

What decides here is production's own code: `decide`, `Demand`, the activator's `Demand`, queueproxy's `Reporter` and
`Meter`. This module stands in for their shells: it moves reports without a network, ticks where production ticks
(recording in the middle of each second, deciding every two, turns at once when pods change), and keeps the two rules of
the autoscaler's loop that are about when to decide: which poke is worth a turn, and who is asleep.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from activator.demand import Demand as ActivatorDemand
from autoscaler import state
from autoscaler.decide import decide
from autoscaler.demand import Key
from loadtest.simulate.clock import Clock
from loadtest.simulate.hearing import Hearing
from loadtest.simulate.pods import Pod, PodState
from loadtest.simulate.policy import Policy
from loadtest.simulate.revision import Revision
from queueproxy.report import Reporter
from tidegate.contracts import report
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Decision, ServingMode

DECIDE_EVERY = 2
STARTS_KEPT = 9


class Minded:
    """A revision under the autoscaler's care."""

    __slots__ = ("decision", "is_dirty", "memory", "revision", "spec", "starts_s")

    def __init__(self, revision: Revision, spec: ScalingSpec, memory: state.Memory) -> None:
        self.revision = revision
        self.spec = spec
        self.memory = memory
        self.decision: Decision | None = None
        self.is_dirty = False
        self.starts_s: deque[float] = deque(maxlen=STARTS_KEPT)

    @property
    def start_s(self) -> float:
        """What a start takes: the median of the latest ones, 0 before the first."""
        return statistics.median(self.starts_s) if self.starts_s else 0.0


class Production(Policy):
    """Decides as a running autoscaler does. `spec` None: each revision's own annotations."""

    def __init__(self, name: str, clock: Clock, phases: random.Random, spec: ScalingSpec | None = None) -> None:
        self.name = name
        self._hearing = Hearing()
        self._demand = self._hearing.demand
        self._clock = clock
        self._spec = spec
        self._minded: dict[Key, Minded] = {}
        self._awake: dict[Key, Minded] = {}
        self._is_ticking = False
        # Clocks of different processes are not in step: each has its own place within the second.
        self._activator_phase = phases.random()
        self._is_activator_ticking = False
        self._link = ActivatorLink(self)
        self._activator = ActivatorDemand(
            cast(Any, self._link), lambda: clock.now, self._waiting, call_later=clock.after
        )

    def adopt(self, revision: Revision) -> None:
        """Begin at zero, or at the minimum, as a revision that has long been there."""
        spec = self._spec or revision.app.spec
        at_rest = spec.min_scale if spec.is_scale_to_zero_enabled else max(1, spec.min_scale)
        memory = state.Memory(
            began_at=self._clock.now - spec.stable_window_s,
            wanted=at_rest,
            activity=Activity.ACTIVE if at_rest else Activity.INACTIVE,
            activity_since=self._clock.now - 3600.0,
            is_initialized=True,
            serving_mode=ServingMode.PROXY,
            proxy_since=self._clock.now - 3600.0,
        )
        minded = self._minded[revision.key] = Minded(revision, spec, memory)
        self._demand.configure(revision.key, spec)
        revision.scale = at_rest
        revision.ledger.wanted.step(self._clock.now, at_rest)
        for _ in range(at_rest):
            revision.start_pod(0.0)
        if at_rest:
            self._wake(minded)

    # The activator's side

    def entered(self, revision: Revision) -> None:
        """Count it, and see to it that the activator reports each second."""
        self._activator.arrived(revision.key)
        if not self._is_activator_ticking:
            self._is_activator_ticking = True
            now = self._clock.now
            self._clock.at(math.floor(now - self._activator_phase) + 1 + self._activator_phase, self._tick_activator)

    def waits(self, revision: Revision) -> None:
        """Poke, when it is news."""
        self._activator.began_to_wait(revision.key)

    def left(self, revision: Revision) -> None:
        """Count it out."""
        self._activator.ended(revision.key)

    def _waiting(self, key: Key) -> int:
        return self._minded[key].revision.waiting

    def _tick_activator(self) -> None:
        self._link.sent = 0
        self._activator.tick()
        # With nothing to say there is nothing left to count: the next request starts the ticks again.
        self._is_activator_ticking = self._link.sent > 0
        if self._is_activator_ticking:
            self._clock.after(report.REPORT_INTERVAL_S, self._tick_activator)

    # The pods' side

    def pod_created(self, revision: Revision, pod: Pod) -> None:
        """Pods that start are counted in the next turn."""

    def pod_changed(self, revision: Revision, pod: Pod) -> None:
        """Connect the queueproxy of a ready pod, cut the one of a pod that is gone, and take a turn."""
        if pod.state is PodState.READY:
            self._minded[revision.key].starts_s.append(pod.ready_at - pod.created)
            self._hearing.begin(pod, revision.key, self._clock.now)
            QueueproxyReports(self, revision, pod)
        elif pod.state is PodState.GONE:
            self._hearing.end(pod)
        self._mark(self._minded[revision.key])

    # The autoscaler's side

    def hear(self, pod: Pod | None, message: report.Report) -> None:
        """Take a report of a pod, or of the activator (None), whose pokes get their turn at once."""
        key = (message.namespace, message.revision)
        minded = self._minded[key]
        self._wake(minded)
        if self._hearing.take(pod, message, self._clock.now) and message.is_first:
            self._poke(minded)

    def _poke(self, minded: Minded) -> None:
        is_zero = minded.memory.activity is Activity.INACTIVE or not minded.revision.count(PodState.READY)
        waiting = self._demand.waiting(minded.revision.key, self._clock.now)
        is_more = waiting > minded.memory.wanted * minded.spec.target
        if is_zero and (minded.memory.wanted <= 0 or is_more):
            self._turn(minded, is_poked=True)

    def _mark(self, minded: Minded) -> None:
        """Several changes of one moment make one turn."""
        self._wake(minded)
        if not minded.is_dirty:
            minded.is_dirty = True
            self._clock.at(self._clock.now, self._turn_dirty, minded)

    def _turn_dirty(self, minded: Minded) -> None:
        minded.is_dirty = False
        self._turn(minded)

    def _wake(self, minded: Minded) -> None:
        self._awake[minded.revision.key] = minded
        if not self._is_ticking:
            self._is_ticking = True
            now = self._clock.now
            # The seconds slept through were silent; without this they would get the mean of what comes now.
            self._demand.record(math.floor(now + 0.5) - 0.5)
            self._clock.at(math.floor(now + 0.5) + 0.5, self._tick)

    def _tick(self) -> None:
        now = self._clock.now
        self._demand.record(now)
        if math.floor(now) % DECIDE_EVERY == 0:
            for minded in list(self._awake.values()):
                self._turn(minded)
                if self._is_asleep(minded):
                    del self._awake[minded.revision.key]
        self._is_ticking = bool(self._awake)
        if self._is_ticking:
            self._clock.at(math.floor(now + 0.5) + 0.5, self._tick)

    def _turn(self, minded: Minded, *, is_poked: bool = False) -> None:
        now, revision = self._clock.now, minded.revision
        averages = self._demand.averages(revision.key, minded.spec.metric, now)
        seen = state.Observation(
            namespace=revision.key[0],
            revision=revision.key[1],
            stable_value=averages[0] if averages else None,
            panic_value=averages[1] if averages else None,
            waiting=max(self._demand.waiting(revision.key, now), 1 if is_poked else 0),
            ready_pods=revision.count(PodState.READY),
            not_ready_pods=revision.count(PodState.STARTING),
            starting_pods=revision.count(PodState.STARTING),
            start_s=minded.start_s,
            current_scale=revision.scale,
            is_poked=is_poked,
        )
        decision, minded.memory = decide(minded.spec, seen, minded.memory, now)
        minded.decision = decision
        revision.ledger.decisions += 1
        if decision.is_applied and decision.desired >= 0 and decision.desired != revision.scale:
            revision.scale_to(decision.desired)
        revision.backend.mode = decision.serving_mode

    def _is_asleep(self, minded: Minded) -> bool:
        decision = minded.decision
        return (
            decision is not None
            and decision.activity is Activity.INACTIVE
            and decision.desired <= 0
            and decision.current_scale == 0
            and decision.ready_pods == 0
            and decision.not_ready_pods == 0
            and not minded.is_dirty
            and self._demand.is_silent(minded.revision.key)
        )


class ActivatorLink:
    """Carries the activator's reports to the autoscaler in no time."""

    def __init__(self, autoscaler: Production) -> None:
        self._autoscaler = autoscaler
        self.on_connected: Callable[[object], None] = lambda _link: None
        self.on_moved: Callable[[], None] = lambda: None
        self.session_s = 0.0
        self.sent = 0

    def links_for(self, _namespace: str, _revision: str) -> list[ActivatorLink]:
        """Return the links that reports on a revision go to: there is one autoscaler."""
        return [self]

    def send(self, message: report.Message) -> bool:
        """Deliver a report, or each of several."""
        self.sent += 1
        for one in message.reports if isinstance(message, report.Reports) else [message]:
            assert isinstance(one, report.Report)
            self._autoscaler.hear(None, one)
        return True


class QueueproxyReports:
    """Production's reporter of one pod, asleep while the pod is idle."""

    is_connected = True
    session_s = 0.0

    def __init__(self, autoscaler: Production, revision: Revision, pod: Pod) -> None:
        """Take over the pod's `on_arrival`."""
        self._autoscaler = autoscaler
        self._clock = revision.clock
        self._pod = pod
        self._began = self._clock.now
        self._is_ticking = False
        self._has_sent = False
        self._reporter = Reporter(
            pod.meter, cast(Any, self), lambda: self._clock.now, namespace=revision.key[0], revision=revision.name
        )
        pod.on_arrival = self._arrived

    def send(self, message: report.Message) -> bool:
        """Deliver the pod's report."""
        assert isinstance(message, report.Report)
        self._has_sent = True
        self._autoscaler.hear(self._pod, message)
        return True

    def _arrived(self) -> None:
        """The first request after idle seconds: continue the rhythm where it would be now."""
        if self._is_ticking:
            return
        self._is_ticking = True
        last = self._began + math.floor(self._clock.now - self._began)
        self._reporter.tick(last)
        self._clock.at(last + report.REPORT_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        self._has_sent = False
        if self._pod.state is not PodState.GONE:
            self._reporter.tick(self._clock.now)
        self._is_ticking = self._has_sent
        if self._is_ticking:
            self._clock.after(report.REPORT_INTERVAL_S, self._tick)
