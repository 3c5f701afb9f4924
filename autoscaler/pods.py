"""A revision's pods as numbers: how many are ready, how many are on their way, and how long they take.

Pure: objects in, numbers out; `now` is monotonic seconds. A pod counts as starting while it has never been ready and is
young; one that stays away longer will hardly come, and must not keep the autoscaler from asking for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

STARTING_S = 60.0
"""A pod that takes longer is not waited for, unless starts of this revision are known to take longer..."""
STARTING_FACTOR = 3.0
"""...then it is, for so many times what they take."""
START_SHARE = 0.5
"""Weight of the newest start in the mean."""

Object = dict[str, Any]


class PodState(IntEnum):
    """What a pod counts as."""

    READY = 0
    NOT_READY = 1
    PENDING = 2
    TERMINATING = 3
    ENDED = 4


@dataclass(slots=True)
class Pod:
    """One pod: when we saw it first, and whether it has ever been ready."""

    state: PodState
    seen_at: float
    was_ready: bool = False


@dataclass(frozen=True, slots=True)
class PodCounts:
    """A revision's pods; `not_ready` includes those still pending, `starting` is those of them that may come."""

    ready: int = 0
    not_ready: int = 0
    starting: int = 0
    start_s: float = 0.0


class RevisionPods:
    """The pods of one revision."""

    __slots__ = ("pods", "start_s")

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.start_s = 0.0
        """What a start takes, measured; 0 is unknown."""

    def see(self, name: str, state: PodState, now: float, *, is_first_list: bool) -> bool:
        """Note a pod's state; returns whether that is news. What was there before us tells nothing of starts."""
        pod = self.pods.get(name)
        if pod is None:
            is_old = is_first_list and state is PodState.READY
            pod = self.pods[name] = Pod(state, now, was_ready=is_old)
            is_news = True
        else:
            is_news = pod.state is not state
        pod.state = state
        if state is PodState.READY and not pod.was_ready:
            pod.was_ready = True
            took_s = max(now - pod.seen_at, 1e-3)
            self.start_s = took_s if not self.start_s else self.start_s + START_SHARE * (took_s - self.start_s)
        return is_news

    def counts(self, now: float) -> PodCounts:
        """Return the numbers as of now."""
        ready = not_ready = starting = 0
        limit_s = max(STARTING_S, STARTING_FACTOR * self.start_s)
        for pod in self.pods.values():
            if pod.state is PodState.READY:
                ready += 1
            elif pod.state in (PodState.NOT_READY, PodState.PENDING):
                not_ready += 1
                starting += not pod.was_ready and now - pod.seen_at < limit_s
        return PodCounts(ready, not_ready, starting, self.start_s)


def pod_state(pod: Object) -> PodState:
    """Return what a pod counts as; one that is being deleted is no longer ready, whatever its condition says."""
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        return PodState.ENDED
    if pod["metadata"].get("deletionTimestamp"):
        return PodState.TERMINATING
    if phase != "Running":
        return PodState.PENDING
    is_ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return PodState.READY if is_ready else PodState.NOT_READY
