"""The status of an InferenceService, from what its children say.

Pure. `modelStatus` tells people about the model where conditions tell about objects: is the wanted revision loaded, is
it loading, or did loading fail, and then with which exit code and message. Words are KServe's.
"""

from __future__ import annotations

from controller.inference import component as components
from controller.inference.canary import Rollout
from controller.inference.runtimes import INVALID, Refusal
from controller.reconcile.outcome import Object
from tidegate.contracts import conditions
from tidegate.contracts.conditions import ConditionSet

UP_TO_DATE, IN_PROGRESS = "UpToDate", "InProgress"
BLOCKED, INVALID_SPEC = "BlockedByFailedLoad", "InvalidSpec"
LOADED, LOADING, PENDING, FAILED = "Loaded", "Loading", "Pending", "FailedToLoad"
_READY_OF = {kind: f"{kind.capitalize()}Ready" for kind in components.COMPONENTS} | {
    components.COPY: "PredictorCopyReady"
}
_FAILURES = {"ExitCode": "ModelLoadFailed", "CrashLoopBackOff": "ModelLoadFailed"}


def condition_set(kinds: list[str]) -> ConditionSet:
    """Return the conditions of an InferenceService with these components."""
    dependents = (*(_READY_OF[kind] for kind in kinds), "IngressReady")
    return ConditionSet(dependents, ("Stopped",))


def ready_of(kind: str) -> str:
    """Return the condition that speaks for a component."""
    return _READY_OF[kind]


def of_component(rollout: Rollout, service: Object | None) -> Object:
    """Return `status.components.<kind>`."""
    status = (service or {}).get("status") or {}
    found = rollout.as_status()
    if status.get("url"):
        found["url"] = found["restUrl"] = status["url"]
    if status.get("address"):
        found["address"] = status["address"]
    if status.get("traffic"):
        found["traffic"] = status["traffic"]
    return found


def of_model(created: Object | None, ready: Object | None) -> Object:
    """Return `status.modelStatus` of a predictor whose spec is valid, by its newest and its last ready Revision."""
    is_served = ready is not None
    if created is not None and conditions.is_failed(created):
        return {
            "transitionStatus": BLOCKED,
            "states": {"activeModelState": LOADED if is_served else "", "targetModelState": FAILED},
            "copies": {"failedCopies": 1, "totalCopies": _copies(ready)},
            "lastFailureInfo": _failure(created),
        }
    if created is None or not conditions.is_ready(created):
        target = PENDING if created is None else LOADING
        return {
            "transitionStatus": IN_PROGRESS,
            "states": {"activeModelState": LOADED if is_served else "", "targetModelState": target},
            "copies": {"failedCopies": 0, "totalCopies": _copies(ready)},
        }
    state = LOADED if _copies(created) else "Standby"
    return {
        "transitionStatus": UP_TO_DATE,
        "states": {"activeModelState": state, "targetModelState": state},
        "copies": {"failedCopies": 0, "totalCopies": _copies(created)},
    }


def of_refusal(refusal: Refusal, before: Object | None) -> Object:
    """Return `status.modelStatus` when no runtime can serve the model; what was served before still is."""
    states = (before or {}).get("states") or {}
    return {
        "transitionStatus": INVALID_SPEC,
        "states": {"activeModelState": states.get("activeModelState", ""), "targetModelState": FAILED},
        "copies": {"failedCopies": 0, "totalCopies": int(((before or {}).get("copies") or {}).get("totalCopies") or 0)},
        "lastFailureInfo": {"reason": refusal.reason or INVALID, "message": refusal.message},
    }


def _copies(revision: Object | None) -> int:
    return int(((revision or {}).get("status") or {}).get("actualReplicas") or 0)


def _failure(revision: Object) -> Object:
    found = conditions.find(revision) or {}
    reason = str(found.get("reason") or "")
    failure: Object = {
        "reason": "ModelLoadFailed" if reason.startswith("ExitCode") else _FAILURES.get(reason, "RuntimeUnhealthy"),
        "message": str(found.get("message") or reason),
        "modelRevisionName": revision["metadata"]["name"],
        "time": found.get("lastTransitionTime", ""),
    }
    code = reason.removeprefix("ExitCode")
    if code.isdigit():
        failure["exitCode"] = int(code)
    return failure
