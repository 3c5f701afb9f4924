"""HorizontalPodAutoscaler -> replicas of its Deployment and its status, by processor and memory.

Pure. Kubernetes' rules for Resource metrics: desired = pods x use / target, rounded up; a tenth is tolerated; pods that
are not ready or not measured count for nothing on the way up and for a whole target on the way down; the highest metric
wins. How far and how fast that is followed is for `scaling_rules`. Metrics of other types are not scaled by, and the
status says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from cluster import quantities
from cluster.controllers import conditions, scaling_rules
from cluster.controllers.actions import Action, Patch, PatchStatus, Plan, is_deleting
from cluster.controllers.conditions import Condition
from cluster.controllers.scaling_rules import History, Verdict
from tidegate.kube import resources
from tidegate.kube.api import Object, name_of, namespace_of

TOLERANCE = 0.1
PERIOD_S = 3.0
"""Between two looks. Kubernetes takes 15 s, as its metrics come from many machines."""


ABLE = {
    "ReadyForNewScale": "the replica count can be changed",
    "ScaleUpStabilized": "recent recommendations were lower, the lowest of the window up is followed",
    "ScaleDownStabilized": "recent recommendations were higher, the highest of the window down is followed",
}
LIMITED = {
    "DesiredWithinRange": "the wanted count is within all bounds",
    "ScaleUpLimit": "the policies of scaleUp allow no more for now",
    "ScaleDownLimit": "the policies of scaleDown allow no fewer for now",
    "TooManyReplicas": "the wanted count is above maxReplicas",
    "TooFewReplicas": "the wanted count is below minReplicas",
}


class Seen(NamedTuple):
    """One pod of the Deployment: whether it is ready, what it asks for and what it uses, by resource name; `used` is
    empty for one that was not measured. Cores and bytes."""

    ready: bool
    asked: Mapping[str, float]
    used: Mapping[str, float]


def plan(
    autoscaler: Object, deployment: Object, pods: list[Seen], earlier: History, now: float
) -> tuple[Plan, History]:
    """Return what to write, and what to remember; `now` is Unix seconds."""
    current = int(deployment["spec"].get("replicas", 1))
    if is_deleting(autoscaler) or is_deleting(deployment):
        return Plan(), History()
    if current == 0:
        off = Condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count is 0")
        return Plan(_told(autoscaler, current, Verdict(current), off, now), PERIOD_S), History()
    spec = autoscaler["spec"]
    answers = [_desired(metric, pods, current) for metric in spec.get("metrics") or []]
    known = [answer for answer in answers if answer is not None]
    state = Condition("ScalingActive", "True", "ValidMetricFound", "the replica count follows the metrics")
    if len(known) < len(answers) or not answers:
        state = Condition("ScalingActive", "False", "FailedGetResourceMetric", "a metric is not known (yet)")
    # Without some of the metrics nothing is taken away.
    raw = max(known) if known and (len(known) == len(answers) or max(known) > current) else current
    verdict, earlier = scaling_rules.follow(raw, current, spec, earlier, now)
    actions: list[Action] = []
    if verdict.replicas != current:
        change = {"spec": {"replicas": verdict.replicas}}
        actions.append(Patch(resources.DEPLOYMENTS, namespace_of(deployment), name_of(deployment), change))
    return Plan(actions + _told(autoscaler, current, verdict, state, now), PERIOD_S), earlier


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


def _told(autoscaler: Object, current: int, verdict: Verdict, state: Condition, now: float) -> list[Action]:
    before: Object = autoscaler.get("status") or {}
    able = Condition("AbleToScale", "True", verdict.able, ABLE[verdict.able])
    held = "False" if verdict.limited == "DesiredWithinRange" else "True"
    limited = Condition("ScalingLimited", held, verdict.limited, LIMITED[verdict.limited])
    after = {
        "currentReplicas": current,
        "desiredReplicas": verdict.replicas,
        "conditions": conditions.merged(before.get("conditions"), [able, state, limited], now),
    }
    if after.items() <= before.items():
        return []
    return [PatchStatus(resources.HORIZONTAL_POD_AUTOSCALERS, namespace_of(autoscaler), name_of(autoscaler), after)]
