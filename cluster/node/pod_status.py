"""A pod's status as the node publishes it.

Pure: containers, addresses and the former status in; the status object out. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster import timestamps
from cluster.node import lifecycle
from cluster.node.lifecycle import Container, Termination
from tidegate.kube.api import Object


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a status needs beside the containers."""

    host_ip: str
    pod_ip: str
    start_time: str
    now: float
    """Unix seconds"""
    monotonic: float
    is_stopping: bool = False


def build(pod: Object, containers: list[Container], around: Surroundings) -> Object:
    """Return the whole status of `pod`."""
    spec = pod["spec"]
    policy = spec.get("restartPolicy") or "Always"
    inits = [one for one in containers if one.is_init]
    main = [one for one in containers if not one.is_init]
    old: Object = pod.get("status") or {}
    phase = lifecycle.phase(containers, policy)
    status: Object = {
        "phase": phase,
        "conditions": _conditions(pod, containers, phase, around.now),
        "hostIP": around.host_ip,
        "hostIPs": [{"ip": around.host_ip}],
        "podIP": around.pod_ip,
        "podIPs": [{"ip": around.pod_ip}],
        "startTime": around.start_time,
        "qosClass": old.get("qosClass") or quality_class(spec),
        "containerStatuses": [_container(one, policy, around) for one in main],
    }
    if inits:
        status["initContainerStatuses"] = [_container(one, policy, around) for one in inits]
    return status


def quality_class(spec: Object) -> str:
    """Return Guaranteed, Burstable or BestEffort by requests and limits."""
    asked = [
        one.get("resources") or {} for one in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    ]
    if not any(one.get("requests") or one.get("limits") for one in asked):
        return "BestEffort"
    for one in asked:
        limits = one.get("limits") or {}
        requests = {**limits, **(one.get("requests") or {})}
        if not {"cpu", "memory"} <= set(limits) or any(requests[key] != limits[key] for key in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def _conditions(pod: Object, containers: list[Container], phase: str, now: float) -> list[Object]:
    old = {one["type"]: one for one in (pod.get("status") or {}).get("conditions") or []}
    initialized = all(_is_initialized(one) for one in containers if one.is_init)
    unready = [one.name for one in containers if not one.ready and (not one.is_init or one.is_sidecar)]
    gates = [one["conditionType"] for one in pod["spec"].get("readinessGates") or []]
    shut = [gate for gate in gates if old.get(gate, {}).get("status") != "True"]
    over = phase in ("Succeeded", "Failed")
    reason = "PodCompleted" if phase == "Succeeded" else "PodFailed" if over else "ContainersNotReady"
    message = "" if over else f"containers with unready status: [{' '.join(unready)}]"
    containers_ready = not unready and not over
    wanted = [
        ("PodScheduled", True, "", ""),
        ("PodReadyToStartContainers", not over, "", ""),
        ("Initialized", initialized, "" if initialized else "ContainersNotInitialized", ""),
        ("ContainersReady", containers_ready, "" if containers_ready else reason, "" if containers_ready else message),
    ]
    if containers_ready and shut:
        wanted.append(("Ready", False, "ReadinessGatesNotReady", f"waiting for {', '.join(shut)}"))
    else:
        wanted.append(("Ready", *wanted[-1][1:]))
    ours = {one[0] for one in wanted}
    kept = [one for kind, one in old.items() if kind not in ours]
    return kept + [_condition(old.get(kind), kind, holds, why, text, now) for kind, holds, why, text in wanted]


def _condition(old: Object | None, kind: str, holds: bool, reason: str, message: str, now: float) -> Object:
    status = "True" if holds else "False"
    same = old is not None and old.get("status") == status
    stamp = (old or {}).get("lastTransitionTime") if same else None
    new: Object = {"type": kind, "status": status, "lastTransitionTime": stamp or timestamps.text(now)}
    if reason:
        new["reason"] = reason
    if message:
        new["message"] = message
    return new


def _is_initialized(container: Container) -> bool:
    if container.is_sidecar:
        return container.started
    return container.last is not None and container.last.exit_code == 0


def _container(container: Container, policy: str, around: Surroundings) -> Object:
    image = container.spec.get("image") or ""
    status: Object = {
        "name": container.name,
        "image": image,
        "imageID": f"process://{image}",
        "ready": container.ready,
        "restartCount": container.restarts,
        "started": container.started,
        "state": _state(container, policy, around),
        "lastState": {},
    }
    if container.run_id:
        status["containerID"] = f"process://{container.run_id}"
    shown = container.previous if "terminated" in status["state"] else container.last
    if shown is not None:
        status["lastState"] = {"terminated": _terminated(shown)}
    return status


def _state(container: Container, policy: str, around: Surroundings) -> Object:
    if container.state in ("running", "stopping"):
        return {"running": {"startedAt": timestamps.text(container.started_unix_s)}}
    if container.state == "terminated" and container.last is not None:
        backing_off = (
            container.not_before > around.monotonic
            and not around.is_stopping
            and (container.is_init or lifecycle.may_restart(container, policy))
            and not (container.is_init and (container.last.exit_code == 0 or policy == "Never"))
        )
        if not backing_off:
            return {"terminated": _terminated(container.last)}
        # The whole step rather than what is left of it: the status must not change while it waits.
        message = f"back-off {_step(container):g}s restarting failed container={container.name}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    waiting = {"reason": container.reason}
    return {"waiting": {**waiting, "message": container.message} if container.message else waiting}


def _step(container: Container) -> float:
    """Return the pause now waited for: `ended` has already doubled the next one."""
    if container.backoff_s >= lifecycle.LAST_BACKOFF_S:
        return lifecycle.LAST_BACKOFF_S
    return max(lifecycle.FIRST_BACKOFF_S, container.backoff_s / 2)


def _terminated(one: Termination) -> Object:
    found: Object = {
        "exitCode": one.exit_code,
        "reason": one.reason,
        "startedAt": timestamps.text(one.started_unix_s),
        "finishedAt": timestamps.text(one.finished_unix_s),
    }
    if one.signal:
        found["signal"] = one.signal
    if one.message:
        found["message"] = one.message
    return found
