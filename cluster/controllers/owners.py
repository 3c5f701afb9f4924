"""Garbage collection: what to do with an object whose owners are gone, and with an owner that waits for its dependents.

Pure. An owner counts as gone only after the manager asked the API server for it (caches may lag); `owners` carries the
answers. Foreground and orphan deletion are the two finalizers of the Kubernetes API.
"""

from __future__ import annotations

from cluster.controllers.actions import Action, Delete, Patch, Plan, is_deleting
from tidegate.kube.api import Object, Resource, name_of, namespace_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def owner_uids(obj: Object) -> list[str]:
    """Return the uids of all owners."""
    return [str(one["uid"]) for one in obj["metadata"].get("ownerReferences") or []]


def plan_dependent(resource: Resource, obj: Object, owners: dict[str, Object | None]) -> Plan:
    """Return the fate of a dependent: `owners` maps each owner's uid to the owner, None when it does not exist."""
    references = obj["metadata"].get("ownerReferences") or []
    if not references or is_deleting(obj):
        return Plan()
    living = [one for one in references if owners.get(str(one["uid"])) is not None]
    waiting = [one for one in living if _waits_for_dependents(owners[str(one["uid"])])]
    if living and len(waiting) < len(living):
        return Plan(_drop_references(resource, obj, living)) if len(living) < len(references) else Plan()
    # No owner left, or the only ones left are deleted in the foreground and wait for this object.
    propagation = "Foreground" if waiting and FOREGROUND in _finalizers(obj) else "Background"
    uid = str(obj["metadata"]["uid"])
    return Plan([Delete(resource, namespace_of(obj), name_of(obj), uid, propagation=propagation)])


def plan_owner(resource: Resource, owner: Object, dependents: list[tuple[Resource, Object]]) -> Plan:
    """Return what a deleted owner with one of the two finalizers needs; `dependents` are those that refer to it."""
    if not is_deleting(owner):
        return Plan()
    finalizers = _finalizers(owner)
    if ORPHAN in finalizers:
        uid = owner["metadata"]["uid"]
        actions: list[Action] = []
        for kind, one in dependents:
            kept = [ref for ref in one["metadata"].get("ownerReferences") or [] if ref["uid"] != uid]
            actions += _drop_references(kind, one, kept)
        return Plan([*actions, _remove_finalizer(resource, owner, ORPHAN)])
    if FOREGROUND in finalizers and not any(_blocks(one, owner) for _, one in dependents):
        return Plan([_remove_finalizer(resource, owner, FOREGROUND)])
    return Plan()


def _blocks(dependent: Object, owner: Object) -> bool:
    return any(
        ref["uid"] == owner["metadata"]["uid"] and ref.get("blockOwnerDeletion")
        for ref in dependent["metadata"].get("ownerReferences") or []
    )


def _waits_for_dependents(owner: Object | None) -> bool:
    return owner is not None and is_deleting(owner) and FOREGROUND in _finalizers(owner)


def _finalizers(obj: Object) -> list[str]:
    return obj["metadata"].get("finalizers") or []


def _drop_references(resource: Resource, obj: Object, kept: list[Object]) -> list[Action]:
    return [Patch(resource, namespace_of(obj), name_of(obj), {"metadata": {"ownerReferences": kept or None}})]


def _remove_finalizer(resource: Resource, obj: Object, finalizer: str) -> Action:
    kept = [one for one in _finalizers(obj) if one != finalizer]
    patch = {
        "metadata": {"finalizers": kept or None, "resourceVersion": obj["metadata"].get("resourceVersion")},
    }
    return Patch(resource, namespace_of(obj), name_of(obj), patch)
