"""Looks up which Secrets a pod's ServiceAccount has, for revisions that fetch a model.

Neither ServiceAccounts nor Secrets are watched (nobody should read all Secrets of a cluster for that): they are read
one by one when a revision with a storage URI is reconciled, and what was found is kept for a while. A missing one is no
error: most models need no credentials.
"""

from __future__ import annotations

import logging

from controller.gather import World
from controller.inference import credentials
from controller.reconcile.model_storage import wants_model
from controller.reconcile.outcome import Object
from controller.triggers import REVISION, Key
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Resource

log = logging.getLogger(__name__)

KEPT_S = 30.0
SECRETS_LIMIT = 16
ACCOUNTS_LIMIT = 10_000


class ModelCredentials:
    """Fills `world.credentials` by (namespace, ServiceAccount)."""

    def __init__(self, api: Api, world: World) -> None:
        self._api = api
        self._world = world
        self._read_at: dict[tuple[str, str], float] = {}

    async def look_up(self, key: Key, target: Object | None, now: float) -> None:
        """Read what the revision `target` needs, unless that was done within `KEPT_S` seconds; raises `ApiError`."""
        if key.kind != REVISION or target is None or not wants_model(target):
            return
        name = str(target["spec"].get("serviceAccountName") or "default")
        where = (key.namespace, name)
        if now - self._read_at.get(where, -KEPT_S) < KEPT_S:
            return
        if len(self._read_at) >= ACCOUNTS_LIMIT:
            self._read_at.clear()
            self._world.credentials.clear()
        account = await self._get(resources.SERVICE_ACCOUNTS, name, key.namespace)
        names = credentials.names_of(account or {})[:SECRETS_LIMIT]
        secrets = [await self._get(resources.SECRETS, one, key.namespace) for one in names]
        self._world.credentials[where] = credentials.variables([one for one in secrets if one is not None])
        self._read_at[where] = now

    async def _get(self, resource: Resource, name: str, namespace: str) -> Object | None:
        try:
            return await self._api.get(resource, name, namespace)
        except ApiError as error:
            if error.is_not_found or error.status == 403:
                log.info("credentials of models in %s: %s", namespace, error)
                return None
            raise
