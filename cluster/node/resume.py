"""What a restarted node makes of a pod that ran before: its processes are gone, its history is in its status.

Pure. A container that was running ended with the node (exit code 137) and is started again at once, one restart
later; what had ended well stays so. A pod that had run its course is not run again.
"""

from __future__ import annotations

from cluster import timestamps
from cluster.node.lifecycle import Container, Termination
from tidegate.kube.api import Object

LOST_CODE = 137
LOST_MESSAGE = "the node was restarted"


def apply(containers: list[Container], pod: Object, now: float, monotonic: float) -> bool:
    """Put the history of `pod.status` into fresh records; return whether the pod had already run its course.

    `now` is Unix seconds.
    """
    status = pod.get("status") or {}
    known = {
        one["name"]: one for part in ("initContainerStatuses", "containerStatuses") for one in status.get(part) or []
    }
    for container in containers:
        if before := known.get(container.name):
            _restore(container, before, now, monotonic)
    return status.get("phase") in ("Succeeded", "Failed")


def _restore(container: Container, before: Object, now: float, monotonic: float) -> None:
    state = before.get("state") or {}
    container.restarts = int(before.get("restartCount") or 0)
    container.previous = _termination((before.get("lastState") or {}).get("terminated"))
    if ended := state.get("terminated"):
        container.state, container.last = "terminated", _termination(ended)
    elif running := state.get("running"):
        started = timestamps.unix_s(running.get("startedAt")) or now
        container.last = Termination(LOST_CODE, 9, "Error", LOST_MESSAGE, started, now)
        container.state = "terminated"
    elif container.previous is not None:
        container.state, container.last, container.previous = "terminated", container.previous, None
    container.not_before = monotonic


def _termination(found: Object | None) -> Termination | None:
    if not found:
        return None
    return Termination(
        int(found.get("exitCode", 0)),
        int(found.get("signal") or 0),
        str(found.get("reason") or ""),
        str(found.get("message") or ""),
        timestamps.unix_s(found.get("startedAt")),
        timestamps.unix_s(found.get("finishedAt")),
    )
