"""What `kubectl get pods` shows of one Pod: readiness, a one-word state, restarts. Pure.

The state is the most telling reason found: deletion first, then init containers, then the first container that has one.
"""

from __future__ import annotations

from typing import Any

from cluster.api.ages import since
from tidegate.kube.api import Object

_NONE = "<none>"


def pod_cells(pod: Object, now_unix: float) -> list[Any]:
    """Return the cells: name, ready, status, restarts, age, IP, node, nominated node, readiness gates."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {c["name"] for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or []) + len(sidecars)
    ready = sum(1 for container in _ready_containers(status, sidecars) if container.get("ready"))
    ips = status.get("podIPs") or []
    return [
        pod["metadata"]["name"],
        f"{ready}/{total}",
        pod_state(pod),
        _restarts(status, sidecars, now_unix),
        since(pod["metadata"].get("creationTimestamp"), now_unix),
        status.get("podIP") or (ips[0].get("ip") if ips else "") or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        _gates(spec, status),
    ]


def _ready_containers(status: Object, sidecars: set[str]) -> list[Object]:
    running = [c for c in status.get("containerStatuses") or [] if (c.get("state") or {}).get("running") is not None]
    return running + [c for c in status.get("initContainerStatuses") or [] if c.get("name") in sidecars]


def pod_state(pod: Object) -> str:
    """Return the word in the STATUS column."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    state = status.get("reason") or status.get("phase") or "Unknown"
    if _condition(status, "PodScheduled").get("reason") == "SchedulingGated":
        state = "SchedulingGated"
    return _init_state(pod) or _container_state(status, state)


def _condition(status: Object, kind: str) -> Object:
    found = (condition for condition in status.get("conditions") or [] if condition.get("type") == kind)
    return next(found, {})


def _init_state(pod: Object) -> str:
    """Return the state of the first init container that is not done, "" when all are."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    inits = spec.get("initContainers") or []
    sidecars = {container["name"] for container in inits if container.get("restartPolicy") == "Always"}
    for index, container in enumerate(status.get("initContainerStatuses") or []):
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if (ended and not ended.get("exitCode")) or (container.get("name") in sidecars and container.get("started")):
            continue
        if ended:
            return f"Init:{_ended(ended)}"
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(inits)}"
    return ""


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def _container_state(status: Object, state: str) -> str:
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        now = container.get("state") or {}
        if (now.get("waiting") or {}).get("reason"):
            state = now["waiting"]["reason"]
        elif now.get("terminated"):
            state = _ended(now["terminated"])
        elif container.get("ready") and now.get("running") is not None:
            running = True
    if state == "Completed" and running:
        return "Running" if _condition(status, "Ready").get("status") == "True" else "NotReady"
    return state


def _restarts(status: Object, sidecars: set[str], now_unix: float) -> str:
    inits, mains = status.get("initContainerStatuses") or [], status.get("containerStatuses") or []
    is_starting = any(
        not ((c.get("state") or {}).get("terminated") or {}) and c.get("name") not in sidecars for c in inits
    )
    counted = inits if is_starting else [c for c in inits if c.get("name") in sidecars] + mains
    total = sum(container.get("restartCount", 0) for container in counted)
    ends = [((c.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for c in counted]
    last = max((end for end in ends if end), default=None)
    return f"{total} ({since(last, now_unix)} ago)" if total and last else str(total)


def _gates(spec: Object, status: Object) -> str:
    gates = [gate.get("conditionType", "") for gate in spec.get("readinessGates") or []]
    passed = sum(1 for gate in gates if _condition(status, gate).get("status") == "True")
    return f"{passed}/{len(gates)}" if gates else _NONE
