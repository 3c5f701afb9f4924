"""The `Api` protocol inside the API server process: same verbs, no HTTP, no TLS; objects are copies of their own.

The built-in controllers run on it. It acts as a trusted user under one field manager.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from cluster.api import deletes, operations, present, reads, rules, scale, status, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import APISERVER, Call
from cluster.store import Entry
from tidegate.kube.api import Object, Page, PatchKind, Resource, WatchEvent

WATCH_TIMEOUT_S = 3600.0


class LocalApi:
    """`tidegate.kube.api.Api` on a backend of this process."""

    def __init__(self, backend: Backend, manager: str = "kube-controller-manager") -> None:
        self._backend = backend
        self._manager = manager

    def _call(self, manager: str = "", force: bool = False) -> Call:
        return Call(APISERVER, manager or self._manager, force=force)

    def _kind(self, resource: Resource, subresource: str = "") -> Kind:
        return operations.kind_of(self._backend, resource.group, resource.version, resource.plural, subresource)

    def _answer(self, kind: Kind, entry: Entry, subresource: str = "") -> Object:
        obj = present.decoded(kind, entry)
        return scale.scale_of(kind, obj) if subresource == "scale" else obj

    async def get(self, resource: Resource, name: str, namespace: str = "", subresource: str = "") -> Object:
        """Return one object; raises `ApiError`."""
        kind = self._kind(resource, subresource)
        return self._answer(kind, reads.get(self._backend, kind, namespace, name), subresource)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        *,
        limit: int = 0,
        after: str = "",
    ) -> Page:
        """Return all matching objects, whatever the limit: they are here anyway; raises `ApiError`."""
        kind = self._kind(resource)
        selection = reads.select(kind, namespace, labels, fields)
        entries = reads.list_entries(self._backend, kind, selection)
        return Page([self._answer(kind, entry) for entry in entries], str(self._backend.store.revision))

    async def watch(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after `since`; raises `ApiError` (410 when history is gone)."""
        kind = self._kind(resource)
        selection = reads.select(kind, namespace, labels, fields)
        watch = reads.Watch(self._backend, kind, selection, int(since) if since and since != "0" else None)
        try:
            async for events in watch.batches(WATCH_TIMEOUT_S):
                for event in events:
                    yield WatchEvent(event.type, self._answer(kind, event.entry))
        finally:
            watch.close()

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        """Create `obj`; raises `ApiError`."""
        if subresource:
            raise status.bad_request(f"subresource {subresource} cannot be created in-process")
        kind = self._kind(resource)
        where = namespace or (obj.get("metadata") or {}).get("namespace", "")
        own = rules.copied(obj)
        call = dataclasses.replace(self._call(), dry_run=dry_run)
        return self._answer(kind, await writes.create(self._backend, kind, where, own, call))

    async def replace(self, resource: Resource, obj: Object, subresource: str = "") -> Object:
        """PUT `obj`; raises `ApiError`."""
        kind = self._kind(resource, subresource)
        metadata = obj["metadata"]
        own = rules.copied(obj)
        entry = await operations.replace(
            self._backend, kind, metadata.get("namespace", ""), metadata["name"], subresource, own, self._call()
        )
        return self._answer(kind, entry, subresource)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Object:
        """Patch one object; raises `ApiError`."""
        served = self._kind(resource, subresource)
        entry, _ = await operations.patch(
            self._backend, served, namespace, name, subresource, patch, kind, self._call(manager, force)
        )
        return self._answer(served, entry, subresource)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_s: int | None = None,
        propagation: str = "Background",
    ) -> Object:
        """Delete one object; raises `ApiError`."""
        kind = self._kind(resource)
        key = self._backend.key(kind, namespace, name)
        options = deletes.Options(grace_s, uid, propagation=propagation)
        entry, _ = await deletes.delete(self._backend, kind, key, options, self._call())
        return self._answer(kind, entry)
