"""What the production autoscaler is compared with: a fixed keep-alive as function platforms have it, and an oracle.

Both see the data path as it is, without windows or reports. The oracle also knows the future: it is no proposal but the
floor, the fewest pod-seconds with which nobody waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from loadtest.simulate.clock import Clock
from loadtest.simulate.pods import Pod, PodState
from loadtest.simulate.policy import Policy
from loadtest.simulate.revision import Revision
from loadtest.traces.arrivals import Arrival

Interval = tuple[float, float]

MARGIN_S = 1e-6
"""By which the oracle is early, so that no rounding makes it late."""


class KeepAlive(Policy):
    """Starts a pod for every request that finds no seat, and stops a pod that was idle for `keep_s`."""

    def __init__(self, name: str, clock: Clock, keep_s: float) -> None:
        self.name = name
        self._clock = clock
        self._keep_s = keep_s

    def adopt(self, revision: Revision) -> None:
        """Begin at zero, with as many seats per pod as it has slots."""
        revision.placement.pods.limit = revision.app.slots

    def waits(self, revision: Revision) -> None:
        """Start a pod when those that are starting will not have seats for all who wait."""
        starting = revision.count(PodState.STARTING)
        if revision.waiting > starting * revision.app.slots:
            revision.start_pod()
            _tell_scale(revision)

    def pod_idle(self, revision: Revision, pod: Pod) -> None:
        """Look again when the pod may go."""
        since = pod.idle_since
        self._clock.after(self._keep_s, self._expire, revision, pod, since)

    def _expire(self, revision: Revision, pod: Pod, since: float) -> None:
        if pod.state is PodState.READY and pod.idle_since == since:
            revision.stop_pod(pod)
            _tell_scale(revision)


class Fixed(Policy):
    """Always the same number of pods, there from the beginning."""

    def __init__(self, name: str, pods: int) -> None:
        self.name = name
        self._pods = pods

    def adopt(self, revision: Revision) -> None:
        """Have all pods ready at once."""
        revision.placement.pods.limit = revision.app.slots
        for _ in range(self._pods):
            revision.start_pod(0.0)
        _tell_scale(revision)


class Oracle(Policy):
    """Has the pods ready when they are needed and not longer; `arrivals` is the future, by function."""

    name = "oracle"

    def __init__(self, clock: Clock, arrivals: Iterable[Arrival], timeout_s: float) -> None:
        self._clock = clock
        self._changes = needs(arrivals, timeout_s)

    def adopt(self, revision: Revision) -> None:
        """Plan every pod of the whole run."""
        revision.placement.pods.limit = revision.app.slots
        starts_s = revision.machinery.start.mean_s + revision.machinery.stop_s
        for begin, end in plan(self._changes[revision.name], revision.app.slots, starts_s):
            start_s = revision.draw_start()
            created = begin - start_s - MARGIN_S
            self._clock.at(created, self._start, revision, created, start_s, end)

    def _start(self, revision: Revision, created: float, start_s: float, end: float) -> None:
        # Pods for the first arrivals were created before the trace began; they are paid for from then on.
        pod = revision.start_pod(start_s, created=created)
        _tell_scale(revision)
        self._clock.at(end, self._stop, revision, pod)

    def _stop(self, revision: Revision, pod: Pod) -> None:
        if pod.state in (PodState.STARTING, PodState.READY):
            revision.stop_pod(pod)
            _tell_scale(revision)


def needs(arrivals: Iterable[Arrival], timeout_s: float) -> dict[str, list[tuple[float, int]]]:
    """Return, per function, how requests in flight change when nobody waits: (second, +1 or -1) in order."""
    changes: dict[str, list[tuple[float, int]]] = {}
    for at_s, service_s, function in arrivals:
        found = changes.setdefault(function, [])
        found.append((at_s, 1))
        found.append((at_s + min(max(service_s, MARGIN_S), timeout_s), -1))
    for found in changes.values():
        found.sort()
    return changes


def plan(changes: list[tuple[float, int]], slots: int, start_s: float) -> list[Interval]:
    """Return when pods are needed, an interval per pod, in order of their beginning.

    The k-th pod is needed while more than (k-1) x slots requests are in flight. A gap shorter than a start costs less
    kept than started anew, so it is bridged; for each k on its own that is the cheapest there is.
    """
    finished: list[Interval] = []
    begun: list[float] = []  # of each level in use, the first pod's first
    last: dict[int, Interval] = {}  # of each level: it may still be prolonged
    in_flight = 0
    for at_s, by in changes:
        in_flight += by
        level = math.ceil(in_flight / slots)
        while len(begun) < level:
            before = last.pop(len(begun), None)
            is_bridged = before is not None and at_s - before[1] <= start_s
            if before is not None and not is_bridged:
                finished.append(before)
            begun.append(before[0] if before is not None and is_bridged else at_s)
        while len(begun) > level:
            begin = begun.pop()
            last[len(begun)] = (begin, at_s)
    return sorted([*finished, *last.values()])


def _tell_scale(revision: Revision) -> None:
    pods = len(revision.pods)
    revision.ledger.wanted.step(revision.clock.now, pods - revision.scale)
    revision.scale = pods
