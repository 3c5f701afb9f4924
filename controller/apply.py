"""Performs an outcome: creates, applies, patches, deletes, then the status; answers go straight back into the objects.

What the server returned is known at once, without waiting for the watch to say so: a chain of objects is made at the
speed of the API calls alone. Actions of one outcome run together; the first error is raised after all have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller import objects
from controller.gather import World
from controller.patience import merge_patch
from controller.reconcile.outcome import Action, Apply, Create, Delete, Merge, Object, Outcome
from controller.triggers import Key
from tidegate.kube import events
from tidegate.kube.api import Api, ApiError, PatchKind, Resource, name_of, namespace_of
from tidegate.process import tasks

MANAGER = "tidegate-controller"
OnSeen = Callable[[Resource, Object], None]
OnGone = Callable[[Resource, str, str], None]


class Performer:
    """Writes outcomes to the API server. `seen` takes in what the server answered, `gone` what it no longer has."""

    def __init__(self, api: Api, world: World, seen: OnSeen, gone: OnGone) -> None:
        self._api = api
        self._world = world
        self._seen = seen
        self._gone = gone

    async def perform(self, key: Key, target: Object | None, outcome: Outcome) -> None:
        """Do everything in `outcome` for the object `target`; raises the first `ApiError`."""
        if target is not None and self._is_suspicious(target, outcome):
            await self._confirm(target)
        results = await asyncio.gather(
            *(self._act(key, target, action) for action in outcome.actions), return_exceptions=True
        )
        if target is not None:
            for note in outcome.events:
                record = events.record(self._api, target, note.reason, note.message, component=MANAGER, kind=note.kind)
                tasks.spawn(record, f"event {note.reason} {key}")
            if outcome.status is not None:
                await self._write_status(target, outcome.status)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            raise errors[0]
        self._world.refused.pop(key, None)

    def _is_suspicious(self, target: Object, outcome: Outcome) -> bool:
        # A child that existed is missing: perhaps its parent went too, and the news has not come here yet. Children
        # of a parent that is gone would be made and collected for ever.
        status = target.get("status") or {}
        if status.get("observedGeneration") != target["metadata"].get("generation"):
            return False
        makes = [action.obj for action in outcome.actions if isinstance(action, Create | Apply)]
        return any(self._known(obj) is None for obj in makes)

    async def _confirm(self, target: Object) -> None:
        resource = _resource(target)
        try:
            fresh = await self._api.get(resource, name_of(target), namespace_of(target))
        except ApiError as error:
            if error.is_not_found:
                self._gone(resource, namespace_of(target), name_of(target))
            raise
        if fresh["metadata"]["uid"] != target["metadata"]["uid"] or fresh["metadata"].get("deletionTimestamp"):
            self._seen(resource, fresh)
            raise ApiError(409, "Conflict", f"{resource.plural} {name_of(target)} is not what it was")

    async def _act(self, key: Key, target: Object | None, action: Action) -> None:
        resource = _resource(action.obj)
        try:
            await self._write(resource, action)
        except ApiError as error:
            if isinstance(action, Create | Apply) and target is not None and _is_refusal(error):
                self._world.refused[key] = (target["metadata"].get("generation", 0), error.message)
            raise

    async def _write(self, resource: Resource, action: Action) -> None:
        obj = action.obj
        name, namespace = name_of(obj), namespace_of(obj)
        if isinstance(action, Delete):
            await self._delete(resource, obj)
            return
        if isinstance(action, Create):
            answer = await self._create(resource, obj)
        elif isinstance(action, Apply):
            answer = await self._api.patch(
                resource, name, obj, namespace, kind=PatchKind.APPLY, manager=MANAGER, force=True
            )
        else:
            await self._merge(resource, action)
            return
        self._seen(resource, answer)

    async def _create(self, resource: Resource, obj: Object) -> Object:
        try:
            return await self._api.create(resource, obj)
        except ApiError as error:
            if not error.is_already_exists:
                raise
            return await self._api.get(resource, name_of(obj), namespace_of(obj))

    async def _merge(self, resource: Resource, action: Merge) -> None:
        # The uid in the patch makes it a conflict, not a mistake, when the object was replaced meanwhile.
        name, namespace = name_of(action.obj), namespace_of(action.obj)
        guard = {"metadata": action.patch["metadata"] | {"uid": action.obj["metadata"]["uid"]}}
        try:
            answer = await self._api.patch(resource, name, action.patch | guard, namespace, manager=MANAGER)
        except ApiError as error:
            if not error.is_not_found:
                raise
            self._gone(resource, namespace, name)  # a mark on what is gone needs no mark
        else:
            self._seen(resource, answer)

    async def _delete(self, resource: Resource, obj: Object) -> None:
        try:
            await self._api.delete(resource, name_of(obj), namespace_of(obj), uid=obj["metadata"]["uid"])
        except ApiError as error:
            if not error.is_not_found:
                raise
            self._gone(resource, namespace_of(obj), name_of(obj))

    async def _write_status(self, target: Object, status: Object) -> None:
        patch = merge_patch(target.get("status") or {}, status)
        if not patch:
            return
        resource = _resource(target)
        version = target["metadata"].get("resourceVersion", "")
        body = {"metadata": {"resourceVersion": version}, "status": patch}
        try:
            answer = await self._api.patch(
                resource, name_of(target), body, namespace_of(target), subresource="status", manager=MANAGER
            )
        except ApiError as error:
            if error.is_not_found:
                self._gone(resource, namespace_of(target), name_of(target))
            raise
        self._seen(resource, answer)

    def _known(self, obj: Object) -> Object | None:
        return self._world.known.get(_resource(obj), namespace_of(obj), name_of(obj))


def _resource(obj: Object) -> Resource:
    return objects.BY_KIND[obj["apiVersion"], obj["kind"]]


def _is_refusal(error: ApiError) -> bool:
    return error.status in (400, 403, 422)
