"""Eviction of a pod: a deletion that its disruption budget may refuse for now (429).

A granted eviction is written into the budget's status first, with its resourceVersion, so that two drains cannot both
take the last one.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.api import deletes, reads, selectors, status, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import APISERVER, Call
from cluster.store import Collection
from tidegate.kube.api import ApiError, Object

BUDGETS = Collection("policy", "poddisruptionbudgets")
DONE: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def evict(backend: Backend, kind: Kind, namespace: str, name: str, body: Object, call: Call) -> Object:
    """Delete a pod on behalf of a drain; return a Status. Raises `ApiError`, 429 when its budget has no room."""
    asked: Object = body.get("deleteOptions") or {}
    call = replace(call, dry_run=call.dry_run or bool(asked.get("dryRun")))
    pod = reads.get(backend, kind, namespace, name).decode()
    if _is_running(pod):
        await _take(backend, namespace, pod, call)
    options = deletes.Options(asked.get("gracePeriodSeconds"), (asked.get("preconditions") or {}).get("uid") or "")
    await deletes.delete(backend, kind, backend.key(kind, namespace, name), options, call)
    return dict(DONE)


def _is_running(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase == "Running" and not pod["metadata"].get("deletionTimestamp")


async def _take(backend: Backend, namespace: str, pod: Object, call: Call) -> None:
    budgets = [one for one in _budgets(backend, namespace) if selectors.selects(one, pod)]
    if len(budgets) > 1:
        why = "which the eviction subresource does not support."
        raise status.internal(f"This pod has more than one PodDisruptionBudget, {why}")
    if not budgets or _may_go_unhealthy(budgets[0], pod):
        return
    kind = backend.registry.find("policy", "v1", "poddisruptionbudgets")
    assert kind is not None, "disruption budgets are a built-in kind"
    pod_name, now = pod["metadata"]["name"], backend.now()

    def take_one(live: Object) -> Object:
        current: Object = live.get("status") or {}
        _check(live, current)
        disrupted = (current.get("disruptedPods") or {}) | {pod_name: now}
        left = current["disruptionsAllowed"] - 1
        return live | {"status": current | {"disruptionsAllowed": left, "disruptedPods": disrupted}}

    own = Call(APISERVER, "kube-apiserver", dry_run=call.dry_run)
    key = backend.key(kind, namespace, budgets[0]["metadata"]["name"])
    await writes.modify(backend, kind, key, take_one, own, "status")


def _check(budget: Object, current: Object) -> None:
    name = budget["metadata"]["name"]
    if int(current.get("observedGeneration") or 0) < int(budget["metadata"].get("generation") or 1):
        raise _refusal(f"The disruption budget {name} is still being processed by the server.")
    if int(current.get("disruptionsAllowed") or 0) <= 0:
        needs, has = current.get("desiredHealthy", 0), current.get("currentHealthy", 0)
        raise _refusal(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")


def _refusal(why: str) -> ApiError:
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, {"causes": [{"reason": "DisruptionBudget", "message": why}]})


def _may_go_unhealthy(budget: Object, pod: Object) -> bool:
    """Whether a pod that is not ready may go without a budget: it serves nobody."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    if any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    current: Object = budget.get("status") or {}
    desired = int(current.get("desiredHealthy") or 0)
    return desired > 0 and int(current.get("currentHealthy") or 0) >= desired


def _budgets(backend: Backend, namespace: str) -> list[Object]:
    return [entry.decode() for entry in backend.store.entries(BUDGETS, namespace)]
