"""The production autoscaler as a policy: the activator's pokes, queueproxy's reports, the autoscaler's turns.

What measures and decides here is production's own code: the activator's `Demand`, queueproxy's `Reporter` and `Meter`,
the autoscaler's `Demand` and `Fleet` (in `turns`). This module stands in for the network between them: reports arrive
in no time, and each process has its own place within the second, drawn by the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, cast

from activator.demand import Demand as ActivatorDemand
from autoscaler import state
from autoscaler.demand import Key
from loadtest.simulate.clock import Clock
from loadtest.simulate.hearing import Hearing
from loadtest.simulate.pods import Pod, PodState
from loadtest.simulate.policy import Policy
from loadtest.simulate.revision import Revision
from loadtest.simulate.turns import Turns
from queueproxy.report import Reporter
from tidegate.contracts import report
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, ServingMode

SpecAt = Callable[[float], tuple[ScalingSpec, float]]
"""Returns the spec as of a simulated second, and the second at which its schedule says something else."""
LONG_AGO_S = 3600.0


class Production(Policy):
    """Decides as a running autoscaler does."""

    def __init__(self, name: str, clock: Clock, phases: random.Random, spec_at: SpecAt) -> None:
        self.name = name
        self._clock = clock
        self._spec_at = spec_at
        self._turns = Turns(clock)
        self._hearing = Hearing(self._turns.demand)
        self._activator_phase = phases.random()
        self._is_activator_ticking = False
        self._link = ActivatorLink(self)
        self._activator = ActivatorDemand(
            cast(Any, self._link), lambda: clock.now, self._waiting, call_later=clock.after
        )

    def adopt(self, revision: Revision) -> None:
        """Begin at zero, or at the minimum, as a revision that has long been there."""
        now = self._clock.now
        spec, changes_at = self._spec_at(now)
        at_rest = spec.min_scale if spec.is_scale_to_zero_enabled else max(1, spec.min_scale)
        memory = state.Memory(
            began_at=now - LONG_AGO_S,
            wanted=at_rest,
            activity=Activity.ACTIVE if at_rest else Activity.INACTIVE,
            activity_since=now - LONG_AGO_S,
            is_initialized=True,
            serving_mode=ServingMode.PROXY,
            proxy_since=now - LONG_AGO_S,
        )
        self._turns.adopt(revision, spec, memory)
        revision.scale = at_rest
        revision.ledger.wanted.step(now, at_rest)
        for _ in range(at_rest):
            revision.start_pod(0.0)
        if at_rest or spec.is_prewarmed:
            self._turns.wake(revision.key)
        self._plan_schedule(revision, changes_at)

    def _plan_schedule(self, revision: Revision, changes_at: float) -> None:
        if changes_at < math.inf:
            self._clock.at(changes_at, self._schedule_changed, revision)

    def _schedule_changed(self, revision: Revision) -> None:
        spec, changes_at = self._spec_at(self._clock.now)
        self._turns.configure(revision, spec)
        self._plan_schedule(revision, changes_at)

    # The activator's side

    def entered(self, revision: Revision) -> None:
        """Count it, and see to it that the activator reports each second."""
        self._activator.arrived(revision.key, self._clock.now)
        if not self._is_activator_ticking:
            self._is_activator_ticking = True
            now = self._clock.now
            self._clock.at(math.floor(now - self._activator_phase) + 1 + self._activator_phase, self._tick_activator)

    def waits(self, revision: Revision) -> None:
        """Poke, when it is news."""
        self._activator.began_to_wait(revision.key)

    def left(self, revision: Revision) -> None:
        """Count it out."""
        self._activator.ended(revision.key, self._clock.now)

    def _waiting(self, key: Key) -> int:
        return self._turns.revision(key).waiting

    def _tick_activator(self) -> None:
        self._link.sent = 0
        self._activator.tick()
        # With nothing to say there is nothing left to count: the next request starts the ticks again.
        self._is_activator_ticking = self._link.sent > 0
        if self._is_activator_ticking:
            self._clock.after(report.REPORT_INTERVAL_S, self._tick_activator)

    # The pods' side

    def pod_created(self, revision: Revision, pod: Pod) -> None:
        """Its start is measured from now on."""
        self._turns.see_pod(revision, pod)

    def pod_changed(self, revision: Revision, pod: Pod) -> None:
        """Connect the queueproxy of a ready pod, cut the one of a pod that is gone, and take a turn."""
        if pod.state is PodState.READY:
            self._hearing.begin(pod, revision.key, self._clock.now)
            QueueproxyReports(self, revision, pod)
        elif pod.state is PodState.GONE:
            self._hearing.end(pod)
        self._turns.see_pod(revision, pod)
        self._turns.mark(revision)

    def hear(self, pod: Pod | None, message: report.Report) -> None:
        """Take a report of a pod, or of the activator (None), whose pokes get their turn at once."""
        key = (message.namespace, message.revision)
        self._turns.wake(key)
        if self._hearing.take(pod, message, self._clock.now) and message.is_first:
            self._turns.poke(key)


class ActivatorLink:
    """Carries the activator's reports to the one autoscaler in no time."""

    session_s = 0.0

    def __init__(self, autoscaler: Production) -> None:
        self._autoscaler = autoscaler
        self.on_connected: Callable[[object], None] = lambda _link: None
        self.on_moved: Callable[[], None] = lambda: None
        self.sent = 0

    def links_for(self, _namespace: str, _revision: str) -> list[ActivatorLink]:
        """Return where reports on a revision go."""
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
