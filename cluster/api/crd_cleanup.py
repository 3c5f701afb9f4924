"""Takes a deleted CustomResourceDefinition down: first every object of its kind, then the definition itself.

The definition is held by a finalizer until its last object is gone, as on a real API server; a restart resumes.
"""

from __future__ import annotations

import asyncio

from cluster.api import deletes, reads, writes
from cluster.api.backend import Backend
from cluster.api.crds import DEFINITIONS
from cluster.api.kinds import Kind
from cluster.api.users import APISERVER, Call
from cluster.store import Collection, Entry
from tidegate.kube.api import ApiError, Object

LOOK_AGAIN_S = 0.25
CALL = Call(APISERVER, "kube-apiserver")


async def run(backend: Backend) -> None:
    """Follow definitions for ever and finish the deleted ones."""
    kind = backend.registry.of_collection(DEFINITIONS)
    assert kind is not None, "definitions are a built-in kind"
    watch = reads.Watch(backend, kind, reads.Selection(), None)
    try:
        async for events in watch.batches(float("inf")):
            names = {event.entry.shadow["metadata"]["name"] for event in events if event.type != "DELETED"}
            for name in sorted(names):
                await _finish(backend, kind, name)
    finally:
        watch.close()


async def _finish(backend: Backend, kind: Kind, name: str) -> None:
    key = backend.key(kind, "", name)
    while (entry := backend.store.get(key)) is not None and _is_terminating(entry):
        definition = entry.decode()
        collection = Collection(definition["spec"]["group"], definition["spec"]["names"]["plural"])
        custom = backend.registry.of_collection(collection)
        if custom is not None and backend.store.count(collection):
            await _empty(backend, custom)
        if not backend.store.count(collection):
            await writes.modify(backend, kind, key, _without_finalizer, CALL)
            return
        await asyncio.sleep(LOOK_AGAIN_S)


async def _empty(backend: Backend, custom: Kind) -> None:
    try:
        await deletes.delete_collection(backend, custom, reads.Selection(), deletes.Options(), CALL)
    except ApiError:
        return  # refused or contended: the caller looks again


def _is_terminating(entry: Entry) -> bool:
    metadata = entry.decode()["metadata"]
    return bool(metadata.get("deletionTimestamp")) and deletes.CRD_CLEANUP in (metadata.get("finalizers") or [])


def _without_finalizer(live: Object) -> Object:
    finalizers = live["metadata"].get("finalizers") or []
    live["metadata"]["finalizers"] = [one for one in finalizers if one != deletes.CRD_CLEANUP]
    return live
