"""What a controller's plan may ask for: writes to the API, as values, and the time to look again.

Pure. The manager performs actions in their order; a plan puts what others wait for (specs) before what only informs
(status).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.kube.api import Object, Resource


@dataclass(frozen=True, slots=True)
class Create:
    """Create `object` (its metadata has the namespace)."""

    resource: Resource
    object: Object


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge `patch` into one object."""

    resource: Resource
    namespace: str
    name: str
    patch: Object


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """Merge `status` into one object's status subresource; only at resourceVersion `version`, if that is given."""

    resource: Resource
    namespace: str
    name: str
    status: Object
    version: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object if it still has this uid; `grace_s` None leaves the object's own grace period."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    grace_s: int | None = None
    propagation: str = "Background"


@dataclass(frozen=True, slots=True)
class Finalize:
    """Replace a Namespace by `object` through its `finalize` subresource."""

    object: Object


@dataclass(frozen=True, slots=True)
class Record:
    """Write an Event about `object`; best effort."""

    object: Object
    reason: str
    message: str
    kind: str = "Normal"


Action = Create | Patch | PatchStatus | Delete | Finalize | Record


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, and in how many seconds to look again even if nothing changes (None: not at all)."""

    actions: list[Action] = field(default_factory=list)
    again_in_s: float | None = None


def owner_reference(owner: Object) -> Object:
    """Return the controller reference that makes `owner` the managing owner of an object."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_uid(obj: Object) -> str:
    """Return the uid of the object's managing owner, empty when it has none."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def is_deleting(obj: Object) -> bool:
    """Whether deletion of the object has begun."""
    return bool(obj["metadata"].get("deletionTimestamp"))
