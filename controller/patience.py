"""Statuses that can wait: of an object on its way, the steps in between are written together, a moment later.

A Service becomes Ready in a dozen small steps of its children. Written one by one, each step is a write that everybody
who watches is told of; a fleet that is made at once would spend most of its time on news that nobody acts on. So while
Ready was and stays Unknown, a status waits up to `HOLD_S`; what makes Ready True or False, or takes it back, is
written at once, and so is what an outcome calls urgent (a Route's table, which gateways read). Pure: `now` is monotonic
seconds. Its size is bounded by the number of keys being reconciled.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from controller.reconcile.outcome import Object, Outcome

HOLD_S = 0.5

K = TypeVar("K", bound=Hashable)


class Held(Generic[K]):
    """Since when the status of which key waits."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def hold(self, key: K, target: Object | None, outcome: Outcome, now: float) -> Outcome:
        """Return what to perform now: `outcome`, or it without its status and due again when the wait ends."""
        is_urgent = outcome.is_urgent or outcome.status is None
        if target is None or is_urgent or not can_wait(target.get("status") or {}, outcome.status or {}):
            self._due.pop(key, None)
            return outcome
        wait_s = self._due.setdefault(key, now + HOLD_S) - now
        if wait_s <= 0:
            del self._due[key]
            return outcome
        again_s = min(wait_s, outcome.requeue_after_s) if outcome.requeue_after_s > 0 else wait_s
        return replace(outcome, status=None, requeue_after_s=again_s)


def can_wait(have: Object, want: Object) -> bool:
    """Whether `want` differs from `have`, and only by a step on a way that has not ended: Ready is Unknown in both."""
    return _ready(want) == "Unknown" and _ready(have) in ("", "Unknown") and bool(merge_patch(have, want))


def _ready(status: Object) -> str:
    conditions = status.get("conditions") or []
    return next((str(one["status"]) for one in conditions if one["type"] == "Ready"), "")


def merge_patch(have: Object, want: Object) -> dict[str, Any]:
    """Return the JSON merge patch that turns `have` into `want`; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in have if key not in want}
    for key, value in want.items():
        current = have.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            if inner := merge_patch(current, value):
                patch[key] = inner
        elif current != value:
            patch[key] = value
    return patch
