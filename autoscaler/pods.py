"""A revision's pods as numbers: how many are ready, how many are on their way, and how long they take.

Pure: objects in, numbers out; `now` is monotonic seconds. What counts as starting, and what a start takes, is `starts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from autoscaler.starts import Starts

Object = dict[str, Any]


class PodState(IntEnum):
    """What a pod counts as."""

    READY = 0
    NOT_READY = 1
    PENDING = 2
    TERMINATING = 3
    ENDED = 4


@dataclass(frozen=True, slots=True)
class PodCounts:
    """A revision's pods; `not_ready` includes those still pending, `starting` is those of them that may come."""

    ready: int = 0
    not_ready: int = 0
    starting: int = 0
    start_s: float = 0.0


class RevisionPods:
    """The pods of one revision."""

    __slots__ = ("starts", "states")

    def __init__(self) -> None:
        self.states: dict[str, PodState] = {}
        self.starts = Starts()

    def see(self, name: str, state: PodState, now: float, *, is_new: bool) -> bool:
        """Note a pod's state; returns whether that is news. `is_new`: the pod began to exist now."""
        before, self.states[name] = self.states.get(name), state
        is_ready = state is PodState.READY
        if state not in (PodState.TERMINATING, PodState.ENDED):
            self.starts.see(name, now, is_ready=is_ready, is_new=is_new and before is None)
        if is_ready or state in (PodState.TERMINATING, PodState.ENDED):
            self.starts.forget(name)  # what comes after is no start: the pod is not new any more
        return before is not state

    def forget(self, name: str) -> bool:
        """A pod is gone; returns whether it was known."""
        self.starts.forget(name)
        return self.states.pop(name, None) is not None

    def counts(self, now: float, deadline_s: float) -> PodCounts:
        """Return the numbers as of now; `deadline_s` is the revision's progress deadline."""
        ready = not_ready = 0
        for state in self.states.values():
            ready += state is PodState.READY
            not_ready += state in (PodState.NOT_READY, PodState.PENDING)
        return PodCounts(ready, not_ready, self.starts.starting(now, deadline_s), self.starts.start_s)


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
