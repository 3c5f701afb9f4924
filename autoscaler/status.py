"""PodAutoscaler status: what a decision looks like in the API, and what a former decision can be read back from it.

Pure: objects in, objects out. The conditions are Active, ScaleTargetInitialized and SKSReady, with Ready over them;
their reasons and texts are those that users of Knative know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from autoscaler import state, zero
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import Conditions, ConditionSet
from tidegate.contracts.decision import Activity, Decision, ServingMode

Object = dict[str, Any]

ACTIVE = "Active"
INITIALIZED = "ScaleTargetInitialized"
BACKENDS_READY = "SKSReady"
CONDITIONS = ConditionSet((ACTIVE, INITIALIZED, BACKENDS_READY))

_MESSAGES = {
    zero.QUEUED: "Requests to the target are being buffered as resources are provisioned.",
    zero.NO_TRAFFIC: "The target is not receiving traffic.",
    zero.TIMED_OUT: "The target could not be activated.",
}
_ACTIVITY_OF_STATUS = {
    conditions.TRUE: Activity.ACTIVE,
    conditions.FALSE: Activity.INACTIVE,
    conditions.UNKNOWN: Activity.ACTIVATING,
}
_NO_BACKENDS = ("NotReady", "No pod is ready.")


def status_of(decision: Decision, autoscaler: Object, now_unix: float) -> Object:
    """Return the status a decision gives a PodAutoscaler; `now_unix` stamps conditions that change."""
    before: Mapping[str, Any] = autoscaler.get("status") or {}
    desired = decision.desired if decision.desired >= 0 else before.get("desiredScale", state.NO_OPINION)
    service = names.private_service_name(decision.revision)
    return {
        "observedGeneration": autoscaler["metadata"].get("generation", 0),
        "serviceName": service,
        "metricsServiceName": service,
        "desiredScale": desired,
        "actualScale": decision.ready_pods,
        "servingMode": str(decision.serving_mode),
        "conditions": _conditions(decision, autoscaler, now_unix),
    }


def is_current(status: Object, autoscaler: Object) -> bool:
    """Whether the object already has this status (times of transition aside)."""
    before = autoscaler.get("status") or {}
    return all(before.get(field) == value for field, value in status.items())


def is_of_rest(autoscaler: Object | None) -> bool:
    """Whether the status of a PodAutoscaler says, for its newest generation, that it is at zero, and nothing else."""
    before = (autoscaler or {}).get("status") or {}
    active = conditions.find(autoscaler, ACTIVE) if autoscaler else None
    return (
        autoscaler is not None
        and active is not None
        and active.get("status") == conditions.FALSE
        and before.get("observedGeneration") == autoscaler["metadata"].get("generation", 0)
        and before.get("servingMode") == ServingMode.PROXY
        and before.get("desiredScale", 0) <= 0
        and not before.get("actualScale")
    )


def memory_of(autoscaler: Object, now: float, now_unix: float) -> state.Memory:
    """Return the memory to begin with: what the status tells of a former process, or a fresh one."""
    active = conditions.find(autoscaler, ACTIVE)
    if active is None:
        return state.fresh(now)
    status = autoscaler["status"]
    initialized = conditions.find(autoscaler, INITIALIZED) or {}
    mode = status.get("servingMode")
    return state.restored(
        now,
        activity=_ACTIVITY_OF_STATUS.get(active.get("status", ""), Activity.ACTIVATING),
        activity_age_s=now_unix - _stamp(active.get("lastTransitionTime"), now_unix),
        is_initialized=initialized.get("status") == conditions.TRUE,
        serving_mode=ServingMode(mode) if mode in tuple(ServingMode) else None,
    )


def tells_rest(autoscaler: Object) -> bool:
    """Whether the status tells of a revision at zero, inactive, and that has been so far once before."""
    before = autoscaler.get("status") or {}
    if before.get("servingMode") != ServingMode.PROXY or before.get("desiredScale") != 0 or before.get("actualScale"):
        return False
    if before.get("observedGeneration") != autoscaler["metadata"].get("generation"):
        return False
    told = {condition["type"]: condition["status"] for condition in before.get("conditions") or ()}
    return told.get(ACTIVE) == conditions.FALSE and told.get(INITIALIZED) == conditions.TRUE


def memory_of_rest(autoscaler: Object, now: float, now_unix: float, here_since: float) -> state.Memory:
    """Return the memory of a revision whose status `tells_rest`; `here_since`: when this process began to look at it.

    Its requests have gone through the activator at least since it is inactive.
    """
    memory = memory_of(autoscaler, now, now_unix)
    return replace(
        memory,
        began_at=here_since,
        wanted=0,
        activity_reason=(conditions.find(autoscaler, ACTIVE) or {}).get("reason", ""),
        proxy_since=memory.activity_since,
    )


def _conditions(decision: Decision, autoscaler: Object, now_unix: float) -> list[conditions.Condition]:
    result = Conditions(CONDITIONS, autoscaler, now_unix)
    if decision.ready_pods > 0:
        result.mark_true(BACKENDS_READY)
    else:
        result.mark_unknown(BACKENDS_READY, *_NO_BACKENDS)
    if decision.is_initialized:
        result.mark_true(INITIALIZED)
    # Active comes last, so that Ready tells its reason before any other.
    message = _MESSAGES.get(decision.activity_reason, "")
    match decision.activity:
        case Activity.ACTIVE:
            result.mark_true(ACTIVE)
        case Activity.INACTIVE:
            result.mark_false(ACTIVE, decision.activity_reason or zero.NO_TRAFFIC, message)
        case Activity.ACTIVATING:
            result.mark_unknown(ACTIVE, decision.activity_reason or zero.QUEUED, message)
    return result.finish()


def _stamp(text: str | None, default: float) -> float:
    try:
        return conditions.parse_timestamp(text) if text else default
    except ValueError:
        return default
