"""A scripted far end: an in-memory API server behind the `Api` protocol, for tests of its clients.

It keeps the conventions clients depend on: resourceVersions and conflicts, uid preconditions, generateName, generation,
a status apart from the spec, finalizers, graceful deletion of pods, watches from a resourceVersion, 410 for lost
history. `refuse` makes the next matching call fail; `calls` lists what was asked.
"""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from cluster import timestamps
from cluster.api import selectors
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, Page, PatchKind, Resource, WatchEvent


class FakeApi:
    """An `Api`. `now` (Unix seconds, default the present) stamps objects; `delay_s` holds back each write."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now or time.time()
        self.delay_s = 0.0
        self.calls: list[tuple[str, str, str]] = []
        self.objects: dict[tuple[Resource, str, str], Object] = {}
        self.version = 1
        self._history: list[tuple[int, Resource, WatchEvent]] = []
        self._oldest = 0
        self._changed = asyncio.Condition()
        self._wakers: set[asyncio.Event] = set()
        self._idle: set[asyncio.Event] = set()
        self._refusals: list[tuple[str, Resource, ApiError]] = []
        self._broken: set[Resource] = set()

    # Scripting

    def refuse(self, verb: str, resource: Resource, error: ApiError, times: int = 1) -> None:
        """Let the next `times` calls of `verb` on `resource` fail with `error`."""
        self._refusals += [(verb, resource, error)] * times

    def forget_history(self) -> None:
        """Make watches from before now answer 410."""
        self._oldest = self.version

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store `obj` as it is, status included, beside all rules."""
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", timestamps.text(self.now))
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        self._store(key, obj, "MODIFIED" if key in self.objects else "ADDED")
        return copy.deepcopy(obj)

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Return the stored objects of a resource."""
        found = [obj for (kind, where, _), obj in self.objects.items() if kind == resource]
        return [obj for obj in found if not namespace or obj["metadata"].get("namespace") == namespace]

    def peek(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """Return one stored object or None."""
        return self.objects.get((resource, namespace, name))

    async def delivered(self) -> None:
        """Return when every watch has taken all that is stored: its reader has come back to wait for more."""
        async with asyncio.timeout(30):
            while any(waker.is_set() for waker in self._wakers) or self._idle != self._wakers:
                await asyncio.sleep(0)

    # The Api protocol

    async def get(self, resource: Resource, name: str, namespace: str = "", subresource: str = "") -> Object:
        await self._enter("get", resource, name)
        return copy.deepcopy(self._find(resource, name, namespace))

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
        await self._enter("list", resource, "")
        found = [copy.deepcopy(obj) for obj in self.all(resource, namespace) if _selected(obj, labels, fields)]
        return Page(found, str(self.version))

    async def watch(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncIterator[WatchEvent]:
        await self._enter("watch", resource, "")
        position = int(since or self.version)
        if position < self._oldest:
            raise ApiError(410, "Expired", "too old resource version")
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while True:
                waker.clear()
                for version, kind, event in [one for one in self._history if one[0] > position]:
                    position = version
                    elsewhere = namespace and event.object["metadata"].get("namespace") != namespace
                    translated = _translate(event, labels, fields)
                    if kind == resource and not elsewhere and translated:
                        yield translated
                self._idle.add(waker)
                await waker.wait()
                self._idle.discard(waker)
        finally:
            self._wakers.discard(waker)
            self._idle.discard(waker)

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        await self._enter("create", resource, obj["metadata"].get("name", ""))
        if dry_run:
            return copy.deepcopy(obj)
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        if subresource == "token":
            return {"status": {"token": f"token-of-{metadata['name']}", "expirationTimestamp": "2099-01-01T00:00:00Z"}}
        if resource.namespaced:
            metadata["namespace"] = namespace or metadata.get("namespace") or "default"
        if "name" not in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f"{resource.plural} {metadata['name']!r} already exists")
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamps.text(self.now)
        metadata["generation"] = 1
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        self._store(key, obj, "ADDED")
        return copy.deepcopy(obj)

    async def replace(self, resource: Resource, obj: Object, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        await self._enter("replace", resource, metadata["name"])
        old = self._find(resource, metadata["name"], metadata.get("namespace", ""))
        return self._write(resource, old, copy.deepcopy(obj), subresource)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        manager: str = "tidegate",
        force: bool = False,
    ) -> Object:
        await self._enter("patch", resource, name)
        if kind is PatchKind.APPLY and (resource, namespace, name) not in self.objects:
            return await self.create(resource, patch, namespace)
        old = self._find(resource, name, namespace)
        return self._write(resource, old, merged(old, patch), subresource)

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
        await self._enter("delete", resource, name)
        old = self._find(resource, name, namespace)
        if uid and old["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "the uid in the precondition does not match")
        new = copy.deepcopy(old)
        metadata = new["metadata"]
        if propagation == "Foreground":
            metadata["finalizers"] = [*(metadata.get("finalizers") or []), "foregroundDeletion"]
        graceful = self._grace(resource, new, grace_s)
        if graceful or metadata.get("finalizers") or (resource == resources.NAMESPACES):
            metadata.setdefault("deletionTimestamp", timestamps.text(self.now + graceful))
            metadata["deletionGracePeriodSeconds"] = graceful
            self._store((resource, namespace, name), new, "MODIFIED")
        else:
            self._remove((resource, namespace, name))
        return copy.deepcopy(new)

    # Inside

    async def _enter(self, verb: str, resource: Resource, name: str) -> None:
        self.calls.append((verb, resource.plural, name))
        await asyncio.sleep(self.delay_s if verb not in ("get", "list", "watch") else 0)
        for index, (wanted, kind, error) in enumerate(self._refusals):
            if wanted == verb and kind == resource:
                del self._refusals[index]
                raise error

    def _find(self, resource: Resource, name: str, namespace: str) -> Object:
        found = self.objects.get((resource, namespace if resource.namespaced else "", name))
        if found is None:
            raise ApiError(404, "NotFound", f'{resource.plural} "{name}" not found')
        return found

    def _grace(self, resource: Resource, obj: Object, grace_s: int | None) -> int:
        if resource != resources.PODS or not obj["spec"].get("nodeName"):
            return 0
        asked = obj["spec"].get("terminationGracePeriodSeconds", 30)
        return asked if grace_s is None else grace_s

    def _write(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        expected = new["metadata"].get("resourceVersion")
        if expected and expected != old["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        uid = new["metadata"].get("uid")
        if uid and uid != old["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the uid does not match")
        if subresource == "status":
            new = {**old, "status": new.get("status") or {}}
        elif subresource != "finalize" and "status" in old:
            new["status"] = old["status"]
        new = copy.deepcopy(new)
        if new == old:
            return copy.deepcopy(old)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        key = (resource, old["metadata"].get("namespace", ""), old["metadata"]["name"])
        finalizers = new["metadata"].get("finalizers") or (new.get("spec") or {}).get("finalizers")
        ended = new["metadata"].get("deletionTimestamp") and not finalizers
        if ended and resource != resources.PODS and subresource != "status":
            self._remove(key)
        else:
            self._store(key, new, "MODIFIED")
        return copy.deepcopy(new)

    def _store(self, key: tuple[Resource, str, str], obj: Object, kind: str) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = obj
        self._emit(key[0], WatchEvent(kind, copy.deepcopy(obj)))

    def _remove(self, key: tuple[Resource, str, str]) -> None:
        obj = copy.deepcopy(self.objects.pop(key))
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._emit(key[0], WatchEvent("DELETED", obj))

    def _emit(self, resource: Resource, event: WatchEvent) -> None:
        self._history.append((self.version, resource, event))
        for waker in self._wakers:
            waker.set()


def merged(target: Any, patch: Any) -> Any:
    """Return `target` under a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _selected(obj: Object, labels: str, fields: str) -> bool:
    return selectors.parse_labels(labels).matches(obj) and selectors.parse_fields(fields).matches(obj)


def _translate(event: WatchEvent, labels: str, fields: str) -> WatchEvent | None:
    """An object that leaves a selection is shown as deleted; caches tell new from changed themselves."""
    if _selected(event.object, labels, fields):
        return WatchEvent(event.type, copy.deepcopy(event.object))
    return WatchEvent("DELETED", copy.deepcopy(event.object)) if labels or fields else None
