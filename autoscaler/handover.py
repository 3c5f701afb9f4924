"""Hands revisions of class `hpa` to a HorizontalPodAutoscaler and keeps the status of their PodAutoscaler.

One worker goes through what changed, one revision at a time; a write happens only where something differs, and a
failed one is tried again after a pause. What an object looks like is in `hpa`; nothing here decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from autoscaler import hpa, status
from autoscaler.demand import Key
from autoscaler.watch import World
from tidegate.contracts import autoscaling, names
from tidegate.contracts.autoscaling import HPA_CLASS
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, PatchKind, annotations_of
from tidegate.kube.cache import Cache
from tidegate.process import tasks

log = logging.getLogger(__name__)

COMPONENT = "autoscaler"
BACKOFF_S = 1.0
DEADLINE_UNKNOWN_S = 600.0


class Handover:
    """All revisions of class `hpa`. Call `changed` for a revision whenever anything about it may have changed."""

    def __init__(self, api: Api, world: World, unix_clock: Callable[[], float]) -> None:
        self.failures = 0
        self.cache = Cache(api, resources.HORIZONTAL_POD_AUTOSCALERS, labels=names.REVISION_LABEL)
        self._api = api
        self._world = world
        self._unix_clock = unix_clock
        # An ordered set: bounded by the revisions there are.
        self._due: dict[Key, None] = {}
        self._worker: asyncio.Task[None] | None = None
        self.cache.on_change(self._horizontal_changed)

    def changed(self, key: Key) -> None:
        """Look at a revision soon."""
        if not self._is_ours(key) and self.cache.get(key[1], key[0]) is None:
            return
        self._due[key] = None
        if self._worker is None:
            self._worker = tasks.spawn(self._work(), "hand over to HPA")

    async def close(self) -> None:
        """Stop writing."""
        await tasks.cancel(self._worker)

    def _is_ours(self, key: Key) -> bool:
        autoscaler = self._world.autoscaler(key)
        if autoscaler is None or autoscaler["metadata"].get("deletionTimestamp"):
            return False
        return autoscaling.class_of(annotations_of(autoscaler), self._world.config) == HPA_CLASS

    async def _work(self) -> None:
        try:
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                try:
                    await self._settle(key)
                except ApiError as error:
                    if error.is_not_found:
                        continue
                    self.failures += 1
                    log.warning("%s/%s: %s; next try in %.1f s", *key, error, BACKOFF_S)
                    self._due[key] = None
                    await asyncio.sleep(BACKOFF_S)
        finally:
            self._worker = None

    async def _settle(self, key: Key) -> None:
        namespace, name = key
        existing, autoscaler = self.cache.get(name, namespace), self._world.autoscaler(key)
        if not self._is_ours(key) or autoscaler is None:
            if existing is not None and autoscaler is not None and _is_owned(existing, autoscaler):
                await self._api.delete(
                    resources.HORIZONTAL_POD_AUTOSCALERS, name, namespace, uid=existing["metadata"]["uid"]
                )
            return
        wanted = hpa.horizontal_of(autoscaler, self._world.config)
        if not hpa.is_current(existing, wanted):
            await self._api.patch(
                resources.HORIZONTAL_POD_AUTOSCALERS,
                name,
                wanted,
                namespace,
                kind=PatchKind.APPLY,
                manager=COMPONENT,
                force=True,
            )
        await self._tell(key, autoscaler, existing)

    async def _tell(self, key: Key, autoscaler: Object, horizontal: Object | None) -> None:
        deployment = self._world.deployment(autoscaler) or {}
        replicas = (deployment.get("spec") or {}).get("replicas")
        ready = self._world.pods(key, DEADLINE_UNKNOWN_S).ready
        body = hpa.status_of(autoscaler, horizontal, replicas, ready, self._unix_clock())
        if not status.is_current(body, autoscaler):
            await self._api.patch(
                resources.POD_AUTOSCALERS, key[1], {"status": body}, key[0], subresource="status", manager=COMPONENT
            )

    def _horizontal_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        horizontal = new or old
        assert horizontal is not None
        self.changed((horizontal["metadata"]["namespace"], horizontal["metadata"]["name"]))


def _is_owned(horizontal: Object, autoscaler: Object) -> bool:
    owners = horizontal["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == autoscaler["metadata"].get("uid") for owner in owners)
