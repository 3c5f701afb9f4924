"""HorizontalPodAutoscaler -> replicas of its Deployment and its status, by processor and memory.

Pure. Kubernetes' rules for Resource metrics: desired = pods x use / target, rounded up; a tenth is tolerated; pods that
are not ready or not measured count for nothing on the way up and for a whole target on the way down; the highest metric
wins; stabilisation windows both ways. Of `behavior` only the windows are read: the pace is Kubernetes' default up
(doubled, or four more). Metrics of other types are not scaled by, and the status says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from cluster import quantities
from cluster.controllers import conditions
from cluster.controllers.actions import Action, Patch, PatchStatus, Plan, is_deleting
from cluster.controllers.conditions import Condition
from tidegate.kube import resources
from tidegate.kube.api import Object, name_of, namespace_of

TOLERANCE = 0.1
PERIOD_S = 3.0
"""Between two looks. Kubernetes takes 15 s, as its metrics come from many machines."""
DOWN_WINDOW_S = 300.0


class Seen(NamedTuple):
    """One pod of the Deployment: whether it is ready, what it asks for and what it uses, by resource name; `used` is
    empty for one that was not measured. Cores and bytes."""

    ready: bool
    asked: Mapping[str, float]
    used: Mapping[str, float]


Recommendations = tuple[tuple[float, int], ...]
"""Earlier answers with their times (Unix seconds)."""


def plan(
    autoscaler: Object, deployment: Object, pods: list[Seen], earlier: Recommendations, now: float
) -> tuple[Plan, Recommendations]:
    """Return what to write, and the recommendations to remember; `now` is Unix seconds."""
    current = int(deployment["spec"].get("replicas", 1))
    if is_deleting(autoscaler) or is_deleting(deployment):
        return Plan(), ()
    if current == 0:
        off = Condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count is 0")
        return Plan(_told(autoscaler, current, current, off, now), PERIOD_S), ()
    spec = autoscaler["spec"]
    answers = [_desired(metric, pods, current) for metric in spec.get("metrics") or []]
    known = [answer for answer in answers if answer is not None]
    state = Condition("ScalingActive", "True", "ValidMetricFound", "the replica count follows the metrics")
    if len(known) < len(answers) or not answers:
        state = Condition("ScalingActive", "False", "FailedGetResourceMetric", "a metric is not known (yet)")
    # Without some of the metrics nothing is taken away.
    raw = max(known) if known and (len(known) == len(answers) or max(known) > current) else current
    raw = min(max(raw, 1), max(2 * current, current + 4))
    wanted, earlier = stabilised(raw, current, spec.get("behavior") or {}, earlier, now)
    wanted = min(max(wanted, int(spec.get("minReplicas") or 1)), int(spec["maxReplicas"]))
    actions: list[Action] = []
    if wanted != current:
        change = {"spec": {"replicas": wanted}}
        actions.append(Patch(resources.DEPLOYMENTS, namespace_of(deployment), name_of(deployment), change))
    return Plan(actions + _told(autoscaler, current, wanted, state, now), PERIOD_S), earlier


def stabilised(
    raw: int, current: int, behavior: Object, earlier: Recommendations, now: float
) -> tuple[int, Recommendations]:
    """Return the least of the answers inside the window up, the highest inside the window down, and what to keep."""
    up_s = float((behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0)
    down = (behavior.get("scaleDown") or {}).get("stabilizationWindowSeconds")
    down_s = DOWN_WINDOW_S if down is None else float(down)
    kept = (*((at, count) for at, count in earlier if now - at < max(up_s, down_s)), (now, raw))
    least = min(count for at, count in kept if now - at < up_s or at == now)
    most = max(count for at, count in kept if now - at < down_s or at == now)
    return min(max(current, least), most), kept


def _desired(metric: Object, pods: list[Seen], current: int) -> int | None:
    """Return the replicas by one metric, None when it cannot be told."""
    resource: Object = metric.get("resource") or {}
    name, goal = resource.get("name", ""), resource.get("target") or {}
    measured = [pod for pod in pods if pod.ready and name in pod.used]
    target = _target(goal, name, measured)
    if metric.get("type") != "Resource" or not measured or not target:
        return None
    used, missing = sum(pod.used[name] for pod in measured), len(pods) - len(measured)
    ratio = used / (target * len(measured))
    if missing and ratio > 1:
        ratio = max(1.0, used / (target * len(pods)))
    elif missing:
        ratio = min(1.0, (used + target * missing) / (target * len(pods)))
    if abs(ratio - 1) <= TOLERANCE:
        return current
    return math.ceil(ratio * (len(pods) if missing else len(measured)))


def _target(goal: Object, name: str, measured: list[Seen]) -> float:
    """Return the amount aimed at per pod, 0 when there is none."""
    if goal.get("type") == "Utilization":
        asked = [pod.asked.get(name, 0.0) for pod in measured]
        return sum(asked) / len(asked) * int(goal.get("averageUtilization") or 0) / 100 if asked else 0.0
    return float(quantities.parse(str(goal.get("averageValue") or "0")))


def _told(autoscaler: Object, current: int, wanted: int, state: Condition, now: float) -> list[Action]:
    before: Object = autoscaler.get("status") or {}
    able = Condition("AbleToScale", "True", "ReadyForNewScale", "the replica count can be changed")
    after = {
        "currentReplicas": current,
        "desiredReplicas": wanted,
        "conditions": conditions.merged(before.get("conditions"), [able, state], now),
    }
    if after.items() <= before.items():
        return []
    return [PatchStatus(resources.HORIZONTAL_POD_AUTOSCALERS, namespace_of(autoscaler), name_of(autoscaler), after)]
