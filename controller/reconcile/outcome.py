"""What a reconciler asks for. Actions of one outcome do not depend on each other and may be performed at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """POST a new object; that it exists already is fine."""

    obj: Object


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply, forced: the fields in `obj` are ours."""

    obj: Object


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge-patch an existing object that belongs to another reconciler (labels and annotations)."""

    obj: Object
    patch: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object (its uid is a precondition)."""

    obj: Object


Action = Create | Apply | Merge | Delete


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event about the reconciled object; `kind` is Normal or Warning."""

    reason: str
    message: str
    kind: str = "Normal"


@dataclass(frozen=True)
class Outcome:
    """Actions to perform, then the whole new status (None: leave it), then when to look again (0: when told).

    `is_urgent`: the status is read by more than people and must not wait. `awaits_gateways`: look again once all
    gateways have the object as it is then.
    """

    actions: tuple[Action, ...] = ()
    status: Object | None = None
    requeue_after_s: float = 0.0
    events: tuple[Note, ...] = ()
    is_urgent: bool = False
    awaits_gateways: bool = False
