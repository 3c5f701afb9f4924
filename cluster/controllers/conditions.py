"""Status conditions: find one, and set one so that its transition time moves only when its status does.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster import timestamps
from tidegate.kube.api import Object


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition to be set; status is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str = ""


def find(conditions: list[Object] | None, kind: str) -> Object:
    """Return the condition of this type, an empty object when there is none."""
    return next((one for one in conditions or [] if one.get("type") == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Whether the object's status has this condition with status True."""
    status: dict[str, Any] = obj.get("status") or {}
    return bool(find(status.get("conditions"), kind).get("status") == "True")


def merged(old: list[Object] | None, wanted: list[Condition], now: float, *, updated: bool = False) -> list[Object]:
    """Return conditions `wanted` over `old` (others are kept); `now` is Unix seconds.

    `updated` adds `lastUpdateTime`, which Deployments have; it moves with any change of the condition.
    """
    kinds = {one.type for one in wanted}
    result = [one for one in old or [] if one.get("type") not in kinds]
    return result + [_one(find(old, one.type), one, timestamps.text(now), updated) for one in wanted]


def _one(old: Object, wanted: Condition, stamp: str, updated: bool) -> Object:
    new: Object = {"type": wanted.type, "status": wanted.status, "reason": wanted.reason, "message": wanted.message}
    same_status = old.get("status") == wanted.status
    new["lastTransitionTime"] = old.get("lastTransitionTime", stamp) if same_status else stamp
    if updated:
        same = same_status and old.get("reason") == wanted.reason and old.get("message") == wanted.message
        new["lastUpdateTime"] = old.get("lastUpdateTime", stamp) if same else stamp
    return new
