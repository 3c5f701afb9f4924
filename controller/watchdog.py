"""What is done by the clock and not by a watch: full lists, a look at every object, and the configuration's inputs."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from controller import cluster_config, secrets
from controller.objects import WATCHED
from controller.worker import Worker
from tidegate.contracts import names, problems
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Resource

log = logging.getLogger(__name__)

RETRY_S = 0.5
_SELECTED = {
    resources.DEPLOYMENTS: names.REVISION_LABEL,
    resources.PODS: names.REVISION_LABEL,
}


class Watchdog:
    """Keeps the objects complete and the configuration current."""

    def __init__(self, api: Api, worker: Worker, namespace: str) -> None:
        self._api = api
        self._worker = worker
        self._namespace = namespace
        self.is_synced = False
        self._missing: set[Resource] = set()

    async def prepare(self) -> None:
        """Read everything once: configuration, keys, all objects. Tries until the API server gives them.

        A kind that it does not serve is not waited for: all others work without it.
        """
        while True:
            try:
                await self._read_key()
                await self.relist()
                await self._find_autoscaler()
                break
            except ApiError as error:
                log.info("not started yet: %s", error)
                await asyncio.sleep(RETRY_S)
        self.is_synced = True
        self._worker.mark_everything()

    async def run(self, resync_s: float, relist_s: float) -> None:
        """Look at every object each `resync_s` seconds, list all anew each `relist_s`. Runs until cancelled."""
        elapsed_s = 0.0
        while True:
            pause_s = resync_s if self._worker.world.config.autoscaler_address else RETRY_S
            await asyncio.sleep(pause_s)
            elapsed_s += pause_s
            try:
                await self._find_autoscaler()
                for resource in list(self._missing):
                    await self._relist(resource)
                if elapsed_s >= relist_s:
                    await self.relist()
                    elapsed_s = 0.0
            except ApiError as error:
                log.warning("resync: %s", error)
            if pause_s == resync_s:
                self._worker.mark_everything()

    async def relist(self) -> None:
        """List every kind and forget what is gone: a watch may miss a deletion while it reconnects."""
        for resource in WATCHED:
            await self._relist(resource)
        self.read_config()

    def read_config(self) -> None:
        """Take the ConfigMaps as they are now; a bad one is logged and its old values stay."""
        world = self._worker.world
        maps = {obj["metadata"]["name"]: obj for obj in world.known.all(resources.CONFIG_MAPS)}
        config, refused = cluster_config.read(maps, world.config)
        for name, found in refused.items():
            log.warning("ConfigMap %s is not used: %s", name, problems.render(found))
        self._use(config)

    async def _relist(self, resource: Resource) -> None:
        namespace = self._namespace if resource is resources.CONFIG_MAPS else ""
        try:
            page = await self._api.list(resource, namespace, _SELECTED.get(resource, ""))
        except ApiError as error:
            if not error.is_not_found:
                raise
            self._note_missing(resource)
            return
        self._missing.discard(resource)
        present = {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in page.items}
        for item in page.items:
            self._worker.see(resource, item)
        for gone in self._worker.world.known.names(resource) - present:
            self._worker.forget(resource, *gone)

    def _note_missing(self, resource: Resource) -> None:
        # What is known of its objects stays: a server that is upgraded may not serve a kind for a moment.
        if resource not in self._missing:
            self._missing.add(resource)
            text = (
                "%s.%s are not served: apply their CustomResourceDefinition (manifests/base/crds); until then they rest"
            )
            log.warning(text, resource.plural, resource.group)

    async def _read_key(self) -> None:
        key = await secrets.ensure_report_key(self._api, self._namespace)
        self._use(replace(self._worker.world.config, report_key=key))

    async def _find_autoscaler(self) -> None:
        config = self._worker.world.config
        address = config.deployment.autoscaler_address
        if not address:
            address = await self._service_address()
        self._use(replace(config, autoscaler_address=address))

    async def _service_address(self) -> str:
        try:
            service = await self._api.get(resources.SERVICES, names.AUTOSCALER_SERVICE, self._namespace)
        except ApiError as error:
            if error.is_not_found:
                return ""
            raise
        host = (service.get("spec") or {}).get("clusterIP") or ""
        return f"{host}:{names.REPORT_PORT}" if host and host != "None" else ""

    def _use(self, config: cluster_config.ClusterConfig) -> None:
        if config != self._worker.world.config:
            self._worker.world.config = config
            if self.is_synced:
                self._worker.mark_everything()
