"""Looks up the images of new revisions in the background; a reconcile never waits for a registry.

A failed look-up is told to the revision and tried again with growing pauses for as long as the revision wants it. The
number of look-ups at once is bounded; what was found is kept until the revision's status tells it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client import Counter

from controller.digests import pull_secrets, reference
from controller.digests.registry import LookupFailed, Registry
from controller.gather import World, target
from controller.reconcile import images
from controller.reconcile.images import Lookup
from controller.reconcile.outcome import Object
from controller.triggers import REVISION, Key
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Resource
from tidegate.process import tasks

log = logging.getLogger(__name__)

AT_ONCE = 100
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 1000.0
SECRETS_LIMIT = 16

_lookups = Counter("tidegate_controller_digest_lookups_total", "Tags looked up, by how it ended", ["outcome"])


class Resolver:
    """Fills `world.lookups` by the uid of a revision; `mark` asks for another look at it."""

    def __init__(self, api: Api, world: World, mark: Callable[[set[Key]], None]) -> None:
        self._api = api
        self._world = world
        self._mark = mark
        self._registry = Registry()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}

    def look_up(self, key: Key, revision: Object | None) -> None:
        """Begin to look up what a revision needs, unless that is under way or done."""
        if key.kind != REVISION or revision is None:
            return
        uid = revision["metadata"]["uid"]
        wanted = images.wanted(revision, self._world.config.deployment)
        if not wanted:
            self._world.lookups.pop(uid, None)
        elif uid not in self._running and not (self._world.lookups.get(uid) or Lookup()).digests:
            task = tasks.spawn(self._work(key, uid, wanted), f"look up images of {key.namespace}/{key.name}")
            self._running[uid] = task
            task.add_done_callback(lambda _: self._running.pop(uid, None))

    async def close(self) -> None:
        """Stop all look-ups."""
        await tasks.cancel(*self._running.values())
        await self._registry.close()

    async def _work(self, key: Key, uid: str, wanted: list[str]) -> None:
        pause_s = FIRST_PAUSE_S
        while (revision := target(self._world, key)) is not None and revision["metadata"]["uid"] == uid:
            found = await self._try(revision, wanted)
            self._world.lookups[uid] = found
            self._mark({key})
            if not found.failure:
                return
            log.info("revision %s/%s: %s", key.namespace, key.name, found.message)
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_PAUSE_S, pause_s * 2)
        self._world.lookups.pop(uid, None)

    async def _try(self, revision: Object, wanted: list[str]) -> Lookup:
        limit_s = self._world.config.deployment.digest_timeout_s
        digests: dict[str, str] = {}
        for image in wanted:
            outcome, failure = "failed", ""
            try:
                async with self._places, asyncio.timeout(limit_s):
                    parsed = reference.parse(image)
                    credentials = await self._credentials(revision)
                    digests[image] = parsed.pinned(await self._registry.digest(parsed, credentials))
                    outcome = "found"
            except TimeoutError:
                failure = f"no answer within {limit_s:g}s (digest-resolution-timeout)"
            except (LookupFailed, ValueError, ApiError) as error:
                failure = str(error)
            _lookups.labels(outcome).inc()
            if failure:
                return Lookup(failed_image=image, failure=failure)
        return Lookup(digests)

    async def _credentials(self, revision: Object) -> pull_secrets.Credentials:
        spec, namespace = revision["spec"], revision["metadata"]["namespace"]
        name = str(spec.get("serviceAccountName") or "default")
        account = await self._get(resources.SERVICE_ACCOUNTS, name, namespace)
        names = pull_secrets.names_of(spec, account)[:SECRETS_LIMIT]
        found = [await self._get(resources.SECRETS, one, namespace) for one in names]
        return pull_secrets.credentials([one for one in found if one is not None])

    async def _get(self, resource: Resource, name: str, namespace: str) -> Object | None:
        try:
            return await self._api.get(resource, name, namespace)
        except ApiError as error:
            if error.is_not_found or error.status == 403:
                return None
            raise
