"""How a revision is, read from its Deployment, PodAutoscaler and pods.

A revision that was scaled to zero stays Ready. A container that exits fails its revision at once. An image that cannot
be pulled does so too while the revision has never been ready: a tag is not looked up before, so nothing else tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.reconcile.outcome import Object
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import READY, Conditions

RESOURCES, HEALTHY, ACTIVE = "ResourcesAvailable", "ContainerHealthy", "Active"
DEPLOYING = "Deploying"
NEVER_SCALED = "Initial scale was never achieved"
IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True)
class Health:
    """What conditions are computed from. `refused` says why the API server refused the Deployment."""

    deployment: Object | None
    pod_autoscaler: Object | None
    pods: Sequence[Object]
    refused: str = ""
    is_always_schedulable: bool = False


def judge(state: Conditions, health: Health) -> None:
    """Mark all conditions of a revision."""
    if health.deployment is None:
        _judge_missing(state, health.refused)
    else:
        _judge_deployment(state, health.deployment)
        if is_without_pods(health.deployment):
            _judge_pods(state, health)
        elif _count(health.deployment, "readyReplicas") > 0:
            state.mark_true(HEALTHY)
    _judge_autoscaler(state, health.pod_autoscaler)


def is_without_pods(deployment: Object) -> bool:
    """Whether a Deployment wants pods, was looked at, and has none ready."""
    wanted = int((deployment.get("spec") or {}).get("replicas") or 0)
    is_observed = _count(deployment, "observedGeneration") > 0
    return wanted > 0 and is_observed and _count(deployment, "readyReplicas") == 0


def is_failing(revision: Object) -> bool:
    """Whether a dependent condition of a revision is False."""
    found = (conditions.find(revision, kind) for kind in (RESOURCES, HEALTHY))
    return any(condition is not None and condition["status"] == conditions.FALSE for condition in found)


def _judge_missing(state: Conditions, refused: str) -> None:
    if refused:
        state.mark_false(RESOURCES, "FailedCreate", refused)
        return
    state.mark_unknown(RESOURCES, DEPLOYING)
    state.mark_unknown(HEALTHY, DEPLOYING)


def _judge_deployment(state: Conditions, deployment: Object) -> None:
    failure = conditions.find(deployment, "ReplicaFailure")
    progress = conditions.find(deployment, "Progressing")
    if failure is not None and failure["status"] == conditions.TRUE:
        state.mark_false(RESOURCES, failure.get("reason", "FailedCreate"), failure.get("message", ""))
    elif progress is not None and progress["status"] == conditions.FALSE:
        state.mark_false(RESOURCES, progress.get("reason", "ProgressDeadlineExceeded"), progress.get("message", ""))
    elif (progress or {}).get("status") == conditions.TRUE or _count(deployment, "readyReplicas") > 0:
        state.mark_true(RESOURCES)
    elif not state.is_true(RESOURCES):
        state.mark_unknown(RESOURCES, DEPLOYING)


def _judge_pods(state: Conditions, health: Health) -> None:
    staying = [pod for pod in health.pods if not pod["metadata"].get("deletionTimestamp")]
    for pod in sorted(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))[:1]:
        if not health.is_always_schedulable:
            _judge_scheduling(state, pod)
        for container in _container_statuses(pod):
            if _judge_container(state, container, is_late=_is_late(health.deployment), was_ready=_was_ready(health)):
                return


def _container_statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    unfinished = [item for item in status.get("initContainerStatuses") or [] if not _has_finished(item)]
    return [*unfinished, *(status.get("containerStatuses") or [])]


def _has_finished(init_container: Object) -> bool:
    terminated = (init_container.get("state") or {}).get("terminated")
    return terminated is not None and int(terminated.get("exitCode", 0)) == 0


def _judge_scheduling(state: Conditions, pod: Object) -> None:
    scheduled = conditions.find(pod, "PodScheduled")
    if scheduled is not None and scheduled["status"] == conditions.FALSE:
        state.mark_false(RESOURCES, scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""))


def _judge_container(state: Conditions, container: Object, *, is_late: bool, was_ready: bool) -> bool:
    terminated = _terminated(container)
    if terminated is not None and container.get("name") != names.QUEUE_CONTAINER:
        code = int(terminated.get("exitCode", 0))
        state.mark_false(HEALTHY, f"ExitCode{code}", _exit_message(terminated, code))
        return True
    waiting = (container.get("state") or {}).get("waiting")
    if waiting and _is_reported(waiting, is_late=is_late, was_ready=was_ready):
        state.mark_false(RESOURCES, _steady_reason(state, waiting["reason"]), waiting.get("message", ""))
        return True
    return False


def _is_reported(waiting: Mapping[str, Any], *, is_late: bool, was_ready: bool) -> bool:
    if not waiting.get("reason"):
        return False
    return is_late or (not was_ready and waiting["reason"] in IMAGE_REASONS)


def _steady_reason(state: Conditions, reason: str) -> str:
    # ErrImagePull and ImagePullBackOff take turns for as long as the image is missing; a condition must not flap.
    shown = state.before(RESOURCES).get("reason", "")
    return str(shown) if reason in IMAGE_REASONS and shown in IMAGE_REASONS else reason


def _terminated(container: Object) -> Object | None:
    last = (container.get("lastState") or {}).get("terminated")
    now = (container.get("state") or {}).get("terminated")
    found: Object | None = last or now
    return found


def _exit_message(terminated: Object, code: int) -> str:
    message = str(terminated.get("message") or "").strip()
    if message:
        return f"Container failed with: {message}"
    return "container exited with no error" if code == 0 else f"Container failed with: exit code {code}"


def _judge_autoscaler(state: Conditions, pod_autoscaler: Object | None) -> None:
    status = (pod_autoscaler or {}).get("status") or {}
    initialised = conditions.find(pod_autoscaler, "ScaleTargetInitialized")
    is_initialised = initialised is not None and initialised["status"] == conditions.TRUE
    ready = conditions.find(pod_autoscaler, READY)
    if is_initialised:
        for kind in (RESOURCES, HEALTHY):
            if not state.is_false(kind):
                state.mark_true(kind)
    if state.is_true(RESOURCES) and not (is_initialised and status.get("serviceName")):
        state.mark_unknown(RESOURCES, DEPLOYING)
    if ready is None:
        state.mark_unknown(ACTIVE, DEPLOYING)
        return
    if ready["status"] == conditions.FALSE and not is_initialised:
        _mark_never_scaled(state)
    state.copy(ACTIVE, ready)


def _mark_never_scaled(state: Conditions) -> None:
    # The reason for which the pods never came is worth more to people than that they never came.
    before = state.before(RESOURCES)
    if before["status"] == conditions.FALSE:
        state.copy(RESOURCES, before)
    else:
        state.mark_false(RESOURCES, "ProgressDeadlineExceeded", NEVER_SCALED)


def _is_late(deployment: Object | None) -> bool:
    progress = conditions.find(deployment, "Progressing")
    return progress is not None and progress["status"] == conditions.FALSE


def _was_ready(health: Health) -> bool:
    initialised = conditions.find(health.pod_autoscaler, "ScaleTargetInitialized")
    return initialised is not None and initialised["status"] == conditions.TRUE


def _count(obj: Object, key: str) -> int:
    return int((obj.get("status") or {}).get(key) or 0)
