"""Starts the autoscaler: the only module of the package that constructs.

Order: caches first, so that no decision is made from half a view; then the report port, so that no poke meets an empty
table; then the turns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from autoscaler.config import Config
from autoscaler.demand import Demand
from autoscaler.ingest import Ingest
from autoscaler.loop import Loop
from autoscaler.metrics import Metrics
from autoscaler.pages import decisions_page
from autoscaler.watch import World
from tidegate.kube import connect
from tidegate.kube.api import Api
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer

log = logging.getLogger("autoscaler")

SYNC_TIMEOUT_S = 60.0


def main() -> None:
    """Run until SIGTERM."""
    config = settings.load(Config, program="python -m autoscaler")
    logs.configure("autoscaler", config.log_level)
    run.run(lambda stopping: _connect(config, stopping))


async def _connect(config: Config, stopping: asyncio.Event) -> None:
    try:
        connection = connect.load(config.kubeconfig or None)
    except connect.ConnectError as error:
        raise settings.SettingsError(str(error)) from error
    async with Client(connection, user_agent="tidegate-autoscaler") as client:
        await serve(config, client, stopping)


async def serve(config: Config, api: Api, stopping: asyncio.Event) -> None:
    """Run the autoscaler against `api` until `stopping` is set."""
    world, demand = World(api, config.system_namespace), Demand()
    loop = Loop(api, world, demand, time.monotonic, time.time)
    ingest = Ingest(demand, key=lambda: world.report_key, clock=time.monotonic, on_poke=loop.poke)
    metrics = Metrics(
        lambda: [one.decision for one in loop.revisions.values() if one.decision is not None],
        loop.counts,
        lambda: ingest.counts,
        lambda: loop.publisher.failures,
    )
    admin = AdminServer(
        is_ready=lambda: True if world.is_synced and not stopping.is_set() else "the caches are not filled yet",
        config=settings.describe(config),
        registry=metrics.registry,
    )
    admin.page("/decisions", decisions_page(loop.revisions))
    for port in (config.admin_port, config.metrics_port):
        await admin.start(config.pod_ip, port)
    running = [tasks.spawn(cache.run(), f"cache {cache.resource.plural}") for cache in world.caches]
    stopped = tasks.spawn(stopping.wait(), "stopping")
    synced = tasks.spawn(_all_listed(world), "first lists")
    try:
        await _first_of(stopped, synced, *running)
        if synced.done():
            port = await ingest.start(config.pod_ip, config.report_port)
            log.info("reports on %s:%d", config.pod_ip, port)
            running += [tasks.spawn(loop.run(), "turns"), tasks.spawn(_sweep(ingest), "sweep")]
            run.freeze_start_up()
            await _first_of(stopped, *running)
    finally:
        await ingest.close()
        await tasks.cancel(stopped, synced, *running)
        await loop.publisher.close()
        await admin.close()


async def _all_listed(world: World) -> None:
    for cache in world.caches:
        await cache.wait_synced(SYNC_TIMEOUT_S)


async def _first_of(*waited: asyncio.Task[Any]) -> None:
    """Wait until one of the tasks ends; a crash of any is raised, so that the process ends and is started anew."""
    done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _sweep(ingest: Ingest) -> None:
    while True:
        await asyncio.sleep(ingest.bounds.silence_s / 3)
        ingest.sweep(time.monotonic())


if __name__ == "__main__":
    main()
