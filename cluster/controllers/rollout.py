"""How many pods the old and the new ReplicaSet of a Deployment may have now.

Pure arithmetic of a rolling update: never more than replicas + maxSurge pods in all, never fewer than replicas -
maxUnavailable available ones. Source of the rules: the Deployment API's documentation of `strategy.rollingUpdate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.kube.api import Object


@dataclass(frozen=True, slots=True)
class SetCounts:
    """One ReplicaSet: asked-for and available replicas."""

    name: str
    replicas: int
    available: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Resolved limits of a rollout, in pods."""

    replicas: int
    max_surge: int
    max_unavailable: int


def limits(replicas: int, max_surge: int | str, max_unavailable: int | str) -> Limits:
    """Resolve counts and percentages: surge rounds up, unavailable down; both zero would never move, so one may go."""
    surge = _resolve(max_surge, replicas, up=True)
    unavailable = _resolve(max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def of_strategy(strategy: Object, replicas: int) -> Limits:
    """Resolve a Deployment's `spec.strategy`; Kubernetes' defaults are 25 % each, and Recreate allows neither."""
    if strategy.get("type") == "Recreate":
        return Limits(replicas, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    return limits(replicas, rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"))


def new_replicas(new: int, total: int, limit: Limits) -> int:
    """Return the size of the new ReplicaSet, given its present one and the total of all ReplicaSets."""
    if new >= limit.replicas:
        return limit.replicas
    room = limit.replicas + limit.max_surge - total
    return min(limit.replicas, new + max(0, room))


def old_replicas(old: list[SetCounts], new: SetCounts, limit: Limits) -> dict[str, int]:
    """Return the new size of each old ReplicaSet (oldest first in `old`): unavailable pods go first."""
    sizes = {one.name: one.replicas for one in old}
    total = new.replicas + sum(sizes.values())
    removable = total - (limit.replicas - limit.max_unavailable) - max(0, new.replicas - new.available)
    for one in old:
        gone = min(max(0, one.replicas - one.available), max(0, removable))
        sizes[one.name] -= gone
        removable -= gone
    available = new.available + sum(one.available for one in old)
    spare = min(removable, available - (limit.replicas - limit.max_unavailable))
    for one in old:
        gone = min(sizes[one.name], max(0, spare))
        sizes[one.name] -= gone
        spare -= gone
    return sizes


def _resolve(value: int | str, replicas: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * replicas / 100
    return math.ceil(share) if up else math.floor(share)
