"""The deleting verbs: delete one object, or all that a selection means.

What "delete" does at once is decided in `lifecycle`: mark and wait for finalizers and grace, or remove. Dependents are
the garbage collector's work, which the finalizers of foreground and orphan deletion call for.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster import timestamps
from cluster.api import lifecycle, reads, status
from cluster.api.backend import DELETE, Admitted, Backend
from cluster.api.crds import DEFINITIONS
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Entry, Key, Stale
from tidegate.kube.api import ApiError, Object

ATTEMPTS = 5
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Options:
    """What a deletion asks for; None and empty mean "as the object says"."""

    grace_s: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""


async def delete(backend: Backend, kind: Kind, key: Key, options: Options, call: Call) -> tuple[Entry, bool]:
    """Delete one object; return its state and whether it is gone already. Raises `ApiError`."""
    for _ in range(ATTEMPTS):
        entry = backend.require(kind, key)
        live = entry.decode()
        _check_preconditions(kind, key, live, options)
        await backend.admission.validate(Admitted(DELETE, kind, key, "", None, live, call))
        try:
            return _delete_once(backend, kind, key, entry, options, call)
        except Stale:
            if options.resource_version:
                break
    raise status.conflict(kind.named, key.name)


async def delete_collection(
    backend: Backend, kind: Kind, selection: reads.Selection, options: Options, call: Call
) -> list[Entry]:
    """Delete every selected object; those that vanish meanwhile are skipped. Raises `ApiError`."""
    deleted: list[Entry] = []
    for entry in reads.list_entries(backend, kind, selection):
        metadata = entry.shadow["metadata"]
        try:
            found, _ = await delete(
                backend, kind, backend.key(kind, metadata["namespace"], metadata["name"]), options, call
            )
        except ApiError as error:
            if not error.is_not_found:
                raise
        else:
            deleted.append(found)
    return deleted


def _delete_once(
    backend: Backend, kind: Kind, key: Key, entry: Entry, options: Options, call: Call
) -> tuple[Entry, bool]:
    obj = entry.decode()
    now_unix_s = backend.clock()
    grace = lifecycle.grace_s(kind, obj, options.grace_s)
    _add_finalizers(kind, obj, options)
    deadline = timestamps.text(now_unix_s + grace)
    lifecycle.mark(obj, kind, timestamps.text(now_unix_s), deadline, grace)
    finished = lifecycle.is_finished(kind, obj)
    if call.dry_run:
        return backend.unstored(kind, obj), finished
    if finished:
        return backend.store.delete(key, entry.revision, last=obj), True
    if obj == entry.decode():
        return entry, False
    return backend.store.put(key, obj, entry.revision), False


def _add_finalizers(kind: Kind, obj: Object, options: Options) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    wanted = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.propagation, "")
    if kind.collection == DEFINITIONS:
        wanted = CRD_CLEANUP
    if wanted and wanted not in finalizers:
        finalizers.append(wanted)
    if not finalizers:
        del obj["metadata"]["finalizers"]


def _check_preconditions(kind: Kind, key: Key, live: Object, options: Options) -> None:
    metadata = live["metadata"]
    if options.uid and options.uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {metadata['uid']}"
        raise status.conflict(kind.named, key.name, why)
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise status.conflict(kind.named, key.name, why)
