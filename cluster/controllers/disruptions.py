"""PodDisruptionBudget -> its status: how many of the selected pods may be taken down now. Eviction reads exactly this.

Pure. Numbers as Kubernetes computes them: percentages and `maxUnavailable` are of the replicas that the pods' owners
want, a plain `minAvailable` is of the pods there are; percentages round up.
"""

from __future__ import annotations

import math
from typing import Any

from cluster import timestamps
from cluster.controllers import conditions
from cluster.controllers.actions import Action, PatchStatus, Plan, controller_uid, is_deleting
from cluster.controllers.conditions import Condition
from tidegate.kube.api import Object, Resource, name_of, namespace_of

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NOTICE_S = 120.0
"""A pod whose eviction was granted counts as gone for so long, until its deletion is seen."""


def plan(budget: Object, pods: list[Object], wanted_by_owner: dict[str, int], now: float) -> Plan:
    """Return the new status of a budget that selects `pods`; `wanted_by_owner` has the replicas by owner's uid."""
    if is_deleting(budget):
        return Plan()
    before: Object = budget.get("status") or {}
    pods = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    disrupted = _disrupted(before, pods, now)
    healthy = [pod for pod in pods if conditions.is_true(pod, "Ready") and not is_deleting(pod)]
    current = sum(name_of(pod) not in disrupted for pod in healthy)
    expected, desired = _numbers(budget.get("spec") or {}, pods, wanted_by_owner)
    allowed = max(0, current - desired) if expected > 0 else 0
    reason = "SufficientPods" if allowed else "InsufficientPods"
    state = Condition("DisruptionAllowed", "True" if allowed else "False", reason)
    after: Object = {
        "currentHealthy": current,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": budget["metadata"].get("generation", 1),
        "conditions": conditions.merged(before.get("conditions"), [state], now),
    }
    again_in_s = min((NOTICE_S - (now - timestamps.unix_s(since)) for since in disrupted.values()), default=None)
    if after | ({"disruptedPods": disrupted} if disrupted else {}) == before:
        return Plan([], again_in_s)
    # A merge patch has to name what goes.
    gone = {name: None for name in before.get("disruptedPods") or {} if name not in disrupted}
    after["disruptedPods"] = {**disrupted, **gone} if disrupted else None
    # Evictions write the same status: a plan on an old one must not give back what they took.
    version = str(budget["metadata"].get("resourceVersion", ""))
    actions: list[Action] = [PatchStatus(BUDGETS, namespace_of(budget), name_of(budget), after, version)]
    return Plan(actions, again_in_s)


def _disrupted(before: Object, pods: list[Object], now: float) -> dict[str, str]:
    there = {name_of(pod) for pod in pods if not is_deleting(pod)}
    granted = before.get("disruptedPods") or {}
    return {
        name: since for name, since in granted.items() if name in there and now - timestamps.unix_s(since) < NOTICE_S
    }


def _numbers(spec: Object, pods: list[Object], wanted_by_owner: dict[str, int]) -> tuple[int, int]:
    """Return the expected and the desired number of healthy pods."""
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    if high is not None:
        expected = _expected(pods, wanted_by_owner)
        return expected, max(0, expected - resolved(high, expected))
    if isinstance(low, str):
        expected = _expected(pods, wanted_by_owner)
        return expected, resolved(low, expected)
    return len(pods), int(1 if low is None else low)


def _expected(pods: list[Object], wanted_by_owner: dict[str, int]) -> int:
    owners = {controller_uid(pod) for pod in pods}
    alone = sum(controller_uid(pod) not in wanted_by_owner for pod in pods)
    return alone + sum(wanted_by_owner.get(uid, 0) for uid in owners)


def resolved(value: Any, total: int) -> int:
    """Return a count or a percentage of `total`, rounded up; what is neither counts as nothing."""
    if isinstance(value, int):
        return value
    text = str(value)
    if text.endswith("%") and text[:-1].isdigit():
        return math.ceil(int(text[:-1]) * total / 100)
    return int(text) if text.isdigit() else 0
