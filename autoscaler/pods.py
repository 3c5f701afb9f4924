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


COMING = (PodState.NOT_READY, PodState.PENDING)


@dataclass(frozen=True, slots=True)
class PodCounts:
    """A revision's pods; `not_ready` includes those still pending, `starting` is those of them that may come."""

    ready: int = 0
    not_ready: int = 0
    starting: int = 0
    start_s: float = 0.0


class RevisionPods(Starts):
    """The pods of the revision `key`. Who calls knows each pod's state before: only numbers are kept here."""

    __slots__ = ("count", "key", "not_ready", "ready")

    def __init__(self, key: tuple[str, str] = ("", ""), samples: tuple[float, ...] = ()) -> None:
        super().__init__(samples)
        self.key = key
        self.count = 0
        """Pods in any state."""
        self.ready = 0
        self.not_ready = 0

    def change(self, name: str, before: PodState | None, state: PodState | None, now: float, *, is_new: bool) -> None:
        """Note how a pod was and is; None: it did not exist, or does no more. `is_new`: it began to exist now."""
        self.count += (state is not None) - (before is not None)
        self.ready += (state is PodState.READY) - (before is PodState.READY)
        self.not_ready += (state in COMING) - (before in COMING)
        is_ready = state is PodState.READY
        if is_ready or state in COMING:
            self.see(name, now, is_ready=is_ready, is_new=is_new and before is None)
        if state not in COMING:
            self.forget(name)  # what comes after is no start: the pod is not new any more

    def counts(self, now: float, deadline_s: float) -> PodCounts:
        """Return the numbers as of now; `deadline_s` is the revision's progress deadline."""
        return PodCounts(self.ready, self.not_ready, self.starting(now, deadline_s), self.start_s)


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
