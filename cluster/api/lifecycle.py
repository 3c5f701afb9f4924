"""(pure but for lookups) When an object may come into being, and when a deletion is complete.

Deleting marks: finalizers and a pod's grace period hold the object until whoever owns them lets go; the last write
that leaves nothing to wait for removes it.
"""

from __future__ import annotations

from cluster.api import status
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.store import Key
from tidegate.kube.api import Object

DEFAULT_POD_GRACE_S = 30


def require_namespace(backend: Backend, kind: Kind, namespace: str) -> None:
    """Raise `ApiError` unless objects of `kind` may be created in `namespace` now."""
    if not kind.namespaced:
        return
    if not namespace:
        raise status.bad_request("an empty namespace may not be set during creation")
    entry = backend.store.get(Key("", "namespaces", "", namespace))
    if entry is None:
        raise status.not_found(status.Named("", "namespaces", "Namespace"), namespace)
    if entry.shadow.get("status", {}).get("phase") == "Terminating":
        raise _terminating(kind, namespace)


def _terminating(kind: Kind, namespace: str) -> Exception:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = status.forbidden(kind.named, "", why)
    message = f"namespace {namespace} is being terminated"
    error.details["causes"] = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]
    return error


def is_finished(kind: Kind, obj: Object) -> bool:
    """Whether a deletion that has begun has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if kind.kind == "Namespace" and not kind.group:
        return not (obj.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def grace_s(kind: Kind, obj: Object, asked: int | None) -> int:
    """Return the seconds an object gets to end by itself; only a pod that runs on a node gets any."""
    if kind.kind != "Pod" or kind.group:
        return 0
    spec = obj.get("spec") or {}
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = spec.get("terminationGracePeriodSeconds", DEFAULT_POD_GRACE_S)
    return max(0, int(own if asked is None else asked))


def mark(obj: Object, kind: Kind, now: str, deadline: str, grace: int) -> None:
    """Begin (or shorten) the deletion of `obj` in place; `deadline` is `now` plus `grace` seconds."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = deadline
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1
    elif grace < int(metadata.get("deletionGracePeriodSeconds") or 0):
        metadata["deletionTimestamp"] = min(metadata["deletionTimestamp"], deadline)
        metadata["deletionGracePeriodSeconds"] = grace
    if kind.kind == "Namespace" and not kind.group:
        obj["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}
