"""`behavior` of a HorizontalPodAutoscaler: how far and how fast its recommendations are followed.

Pure, and Kubernetes' algorithm (autoscaling/v2, HPAScalingRules; pkg/controller/podautoscaler/horizontal.go): first the
stabilisation windows, then what the policies of that direction allow within their periods, then the bounds. An
autoscaler without `behavior` has the documented defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.kube.api import Object

UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DOWN: Object = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
LONGEST_PERIOD_S = 1800.0
"""What the API allows for periods; changes that are older count for no policy."""


@dataclass(frozen=True, slots=True)
class History:
    """What was recommended and what was done: pairs of Unix seconds and replicas, or change of replicas."""

    recommendations: tuple[tuple[float, int], ...] = ()
    changes: tuple[tuple[float, int], ...] = ()

    def until(self, now: float) -> History:
        """Return it without what is later than `now`: a clock that was set back would keep that for as long."""
        return History(
            tuple(one for one in self.recommendations if one[0] <= now),
            tuple(one for one in self.changes if one[0] <= now),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The replicas to have; why they are not those recommended: the reasons of AbleToScale and ScalingLimited."""

    replicas: int
    able: str = "ReadyForNewScale"
    limited: str = "DesiredWithinRange"


def rules(behavior: Object | None) -> tuple[Object, Object]:
    """Return the rules up and down, with the defaults where nothing is said."""
    given = behavior or {}

    def filled(defaults: Object, own: Object | None) -> Object:
        return {**defaults, **{key: value for key, value in (own or {}).items() if value is not None}}

    return filled(UP, given.get("scaleUp")), filled(DOWN, given.get("scaleDown"))


def follow(raw: int, current: int, spec: Object, history: History, now: float) -> tuple[Verdict, History]:
    """Return what becomes of the recommendation `raw`, and what to remember; `now` is Unix seconds."""
    up, down = rules(spec.get("behavior"))
    history = history.until(now)
    stable, kept = _stabilised(raw, current, up, down, history, now)
    able = "ReadyForNewScale"
    if stable != raw:
        able = "ScaleUpStabilized" if stable < raw else "ScaleDownStabilized"
    least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
    allowed, limited = _limited(stable, current, (up, down), history, now)
    bounded = min(max(allowed, least), most)
    if bounded != allowed:
        limited = "TooManyReplicas" if bounded < allowed else "TooFewReplicas"
    changes = tuple((at, change) for at, change in history.changes if now - at < LONGEST_PERIOD_S)
    if bounded != current:
        changes = (*changes, (now, bounded - current))
    return Verdict(bounded, able, limited), History(kept, changes)


def _stabilised(
    raw: int, current: int, up: Object, down: Object, history: History, now: float
) -> tuple[int, tuple[tuple[float, int], ...]]:
    """Return the least recommendation inside the window up, the highest inside the window down, between them `current`,
    and the recommendations to keep."""
    up_s, down_s = float(up["stabilizationWindowSeconds"]), float(down["stabilizationWindowSeconds"])
    kept = (*((at, count) for at, count in history.recommendations if now - at < max(up_s, down_s)), (now, raw))
    least = min(count for at, count in kept if now - at < up_s or at == now)
    most = max(count for at, count in kept if now - at < down_s or at == now)
    return min(max(current, least), most), kept


def _limited(wanted: int, current: int, both: tuple[Object, Object], history: History, now: float) -> tuple[int, str]:
    """Return `wanted` as far as the policies of its direction let it come, and whether they held it."""
    up, down = both
    if wanted > current:
        limit = max(current, _limit(up, current, history, now, is_up=True))
        return (limit, "ScaleUpLimit") if wanted > limit else (wanted, "DesiredWithinRange")
    if wanted < current:
        limit = min(current, _limit(down, current, history, now, is_up=False))
        return (limit, "ScaleDownLimit") if wanted < limit else (wanted, "DesiredWithinRange")
    return wanted, "DesiredWithinRange"


def _limit(rule: Object, current: int, history: History, now: float, *, is_up: bool) -> int:
    choice = rule["selectPolicy"]
    if choice == "Disabled" or not rule["policies"]:
        return current
    proposed = []
    for policy in rule["policies"]:
        period_s, value = float(policy["periodSeconds"]), int(policy["value"])
        # What there was when the period began: changes of both directions within it are taken back.
        before = current - sum(change for at, change in history.changes if now - at < period_s)
        if policy["type"] == "Pods":
            proposed.append(before + value if is_up else before - value)
        else:
            proposed.append(math.ceil(before * (100 + value) / 100) if is_up else int(before * (100 - value) / 100))
    # Max is the policy that changes most, in either direction.
    return max(proposed) if is_up == (choice != "Min") else min(proposed)
