"""Performs a plan's actions against the API, in order, and lays the answers over the views.

What somebody else did meanwhile is no error: an object that is gone needs no delete, one that exists no create (the
watch will show it). Conflicts are raised: the key is planned anew on newer objects.
"""

from __future__ import annotations

import asyncio

from cluster.controllers.actions import Action, Create, Delete, Finalize, Patch, PatchStatus, Record
from cluster.controllers.watches import Watches
from tidegate.kube import events, resources
from tidegate.kube.api import Api, ApiError, Object, Resource
from tidegate.process import tasks

MANAGER = "tidegate-cluster"
EVENT_DELAY_S = 0.25


async def perform(api: Api, watches: Watches, actions: list[Action]) -> None:
    """Perform `actions`; raises `ApiError` for the first one refused for a reason of its own."""
    for action in actions:
        try:
            await _one(api, watches, action)
        except ApiError as error:
            if not _is_settled(action, error):
                raise
        # The in-process API never waits: without this the first of ten new pods would be bound after the tenth.
        await asyncio.sleep(0)


def _is_settled(action: Action, error: ApiError) -> bool:
    match action:
        case Create():
            return error.is_already_exists and "name" in action.object["metadata"]
        case Delete():
            # A uid precondition that fails means that the object meant is gone.
            return error.is_not_found or error.is_conflict
        case Patch() | PatchStatus() | Finalize():
            return error.is_not_found
    return True


async def _one(api: Api, watches: Watches, action: Action) -> None:
    match action:
        case Create(resource, obj):
            _note(watches, resource, await api.create(resource, obj))
        case Patch(resource, namespace, name, patch):
            _note(watches, resource, await api.patch(resource, name, patch, namespace, manager=MANAGER))
        case PatchStatus(resource, namespace, name, status, version):
            change: Object = {"status": status} | ({"metadata": {"resourceVersion": version}} if version else {})
            answer = await api.patch(resource, name, change, namespace, subresource="status", manager=MANAGER)
            _note(watches, resource, answer)
        case Delete():
            await _delete(api, watches, action)
        case Finalize(obj):
            await api.replace(resources.NAMESPACES, obj, subresource="finalize")
        case Record():
            tasks.spawn(_record(api, action), f"event-{action.reason}")


async def _record(api: Api, note: Record) -> None:
    # Events are for people: they leave the milliseconds of a cold start to the pod.
    await asyncio.sleep(EVENT_DELAY_S)
    await events.record(api, note.object, note.reason, note.message, component=MANAGER, kind=note.kind)


async def _delete(api: Api, watches: Watches, action: Delete) -> None:
    answer = await api.delete(
        action.resource,
        action.name,
        action.namespace,
        uid=action.uid,
        grace_s=action.grace_s,
        propagation=action.propagation,
    )
    metadata = answer.get("metadata") or {}
    if metadata.get("uid") == action.uid and metadata.get("deletionTimestamp") and action.grace_s != 0:
        _note(watches, action.resource, answer)
    elif view := watches.find(action.resource):
        view.note_gone(action.uid)


def _note(watches: Watches, resource: Resource, answer: Object) -> None:
    if view := watches.find(resource):
        view.note(answer)
