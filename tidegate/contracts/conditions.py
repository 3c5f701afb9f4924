"""Living conditions: how an object's `Ready` follows from the conditions it depends on.

A set has `Ready`, the dependents it is computed from, and informational conditions that never touch it. False wins over
Unknown, Unknown over True; of several False ones the most recently changed is shown. A condition that ends a reconcile
as it began keeps its old transition time. The mechanics are those of Knative's API conventions.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Condition = dict[str, Any]

READY = "Ready"
TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
INFO = "Info"
NEW_GENERATION_REASON = "NewObservedGenFailure"
NEW_GENERATION_MESSAGE = "unsuccessfully observed a new generation"


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """The dependents of `Ready` for one kind, and its informational conditions that exist from the start."""

    dependents: tuple[str, ...] = ()
    informational: tuple[str, ...] = ()


SERVICE = ConditionSet(("ConfigurationsReady", "RoutesReady"))
CONFIGURATION = ConditionSet()
REVISION = ConditionSet(("ResourcesAvailable", "ContainerHealthy"), ("Active",))
ROUTE = ConditionSet(("AllTrafficAssigned", "IngressReady", "CertificateProvisioned"))
CERTIFICATE = ConditionSet()
DOMAIN_MAPPING = ConditionSet(("DomainClaimed", "ReferenceResolved", "IngressReady", "CertificateProvisioned"))


class Conditions:
    """The conditions of one object during one reconcile. `now_unix` is seconds since 1970, used for changes."""

    def __init__(self, kinds: ConditionSet, obj: Mapping[str, Any], now_unix: float) -> None:
        status = obj.get("status") or {}
        self._kinds = kinds
        self._now = timestamp(now_unix)
        self._before: dict[str, Condition] = {item["type"]: item for item in status.get("conditions") or []}
        self._by_type = dict(self._before)
        for kind in (READY, *kinds.dependents):
            if kind not in self._by_type:
                self._set(kind, UNKNOWN)
        if self._before and status.get("observedGeneration") != obj["metadata"].get("generation"):
            self._set(READY, UNKNOWN, NEW_GENERATION_REASON, NEW_GENERATION_MESSAGE)

    @property
    def dependents(self) -> tuple[str, ...]:
        """The conditions that `Ready` is computed from."""
        return self._kinds.dependents

    def get(self, kind: str) -> Condition:
        """Return a condition; one that was never set reads as Unknown."""
        return self._by_type.get(kind) or {"type": kind, "status": UNKNOWN}

    def before(self, kind: str) -> Condition:
        """Return a condition as it was when this reconcile began."""
        return self._before.get(kind) or {"type": kind, "status": UNKNOWN}

    def is_true(self, kind: str) -> bool:
        """Whether the condition is True."""
        return bool(self.get(kind)["status"] == TRUE)

    def is_false(self, kind: str) -> bool:
        """Whether the condition is False."""
        return bool(self.get(kind)["status"] == FALSE)

    def mark(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        """Set a condition to `status` and let `Ready` follow."""
        self._set(kind, status, reason, message)
        if kind in self._kinds.dependents:
            self._follow(status, reason, message)

    def mark_true(self, kind: str, reason: str = "", message: str = "") -> None:
        """Set a condition True."""
        self.mark(kind, TRUE, reason, message)

    def mark_false(self, kind: str, reason: str, message: str = "") -> None:
        """Set a condition False."""
        self.mark(kind, FALSE, reason, message)

    def mark_unknown(self, kind: str, reason: str = "", message: str = "") -> None:
        """Set a condition Unknown."""
        self.mark(kind, UNKNOWN, reason, message)

    def copy(self, kind: str, source: Mapping[str, Any] | None) -> None:
        """Set a condition as another object's condition says; nothing known means Unknown."""
        if source is None:
            self.mark_unknown(kind)
            return
        self.mark(kind, source["status"], source.get("reason", ""), source.get("message", ""))

    def finish(self) -> list[Condition]:
        """Return all conditions sorted by type; unchanged ones keep their old transition time."""
        finished = []
        for kind in sorted(self._by_type):
            now, before = self._by_type[kind], self._before.get(kind)
            finished.append(before if before is not None and _is_equal(now, before) else now)
        return finished

    def _set(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        current = self._by_type.get(kind)
        severity = "" if kind == READY or kind in self._kinds.dependents else INFO
        # Written out, and before anything is made: most conditions are set to what they are.
        if (
            current is not None
            and current.get("status") == status
            and (current.get("reason") or "") == (reason or "")
            and (current.get("message") or "") == (message or "")
            and (current.get("severity") or "") == severity
        ):
            return
        condition: Condition = {"type": kind, "status": status}
        if severity:
            condition["severity"] = severity
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        condition["lastTransitionTime"] = self._now
        self._by_type[kind] = condition

    def _follow(self, status: str, reason: str, message: str) -> None:
        if status == FALSE:
            self._set(READY, FALSE, reason, message)
            return
        failed, waiting = None, None
        for kind in self._kinds.dependents:
            condition = self._by_type[kind]
            if condition["status"] == FALSE:
                changed = str(condition.get("lastTransitionTime", ""))
                if failed is None or changed > str(failed.get("lastTransitionTime", "")):
                    failed = condition
            elif waiting is None and condition["status"] == UNKNOWN:
                waiting = condition
        if failed is not None:
            self._set(READY, FALSE, failed.get("reason", ""), failed.get("message", ""))
        elif status == UNKNOWN:
            self._set(READY, UNKNOWN, reason, message)
        elif waiting is not None:
            self._set(READY, UNKNOWN, waiting.get("reason", ""), waiting.get("message", ""))
        else:
            self._set(READY, TRUE)


def find(obj: Mapping[str, Any] | None, kind: str = READY) -> Condition | None:
    """Return an object's condition, None when it has none of that type."""
    conditions: Iterable[Condition] = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_observed(obj: Mapping[str, Any]) -> bool:
    """Whether the status speaks of the current spec."""
    status = obj.get("status") or {}
    return bool(status.get("observedGeneration", 0) == obj["metadata"].get("generation", 0))


def is_ready(obj: Mapping[str, Any]) -> bool:
    """Whether the object is Ready at its current generation."""
    ready = find(obj)
    return ready is not None and ready["status"] == TRUE and is_observed(obj)


def is_failed(obj: Mapping[str, Any]) -> bool:
    """Whether the object has failed at its current generation."""
    ready = find(obj)
    return ready is not None and ready["status"] == FALSE and is_observed(obj)


def timestamp(unix_s: float) -> str:
    """Return seconds since 1970 as Kubernetes writes time: RFC 3339, UTC, whole seconds."""
    return _second(math.floor(unix_s))


@functools.lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> float:
    """Return an RFC 3339 time as seconds since 1970; raises ValueError."""
    return datetime.datetime.fromisoformat(text).timestamp()


def _is_equal(one: Condition, other: Condition) -> bool:
    # Written out: every status of every object is compared by it.
    return one is other or (
        one.get("status") == other.get("status")
        and (one.get("reason") or "") == (other.get("reason") or "")
        and (one.get("message") or "") == (other.get("message") or "")
        and (one.get("severity") or "") == (other.get("severity") or "")
    )
