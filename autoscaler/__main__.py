"""Starts the autoscaler: the only module of the package that constructs.

Order: caches first, so that no decision is made from half a view; then the report port, so that no poke meets an empty
table; then the turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from autoscaler.config import Config
from autoscaler.demand import Demand
from autoscaler.handover import Handover
from autoscaler.ingest import Bounds, Ingest
from autoscaler.keeper import Keeper
from autoscaler.leases import Leases
from autoscaler.loop import Loop
from autoscaler.metrics import Metrics
from autoscaler.pages import decisions_page, wakes_page
from autoscaler.wakes import Wakes
from autoscaler.watch import World
from tidegate.contracts import buckets
from tidegate.kube import connect
from tidegate.kube.api import Api
from tidegate.kube.cache import Cache
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer

log = logging.getLogger("autoscaler")

SYNC_TIMEOUT_S = 60.0
SHARE_TIMEOUT_S = 3.0
SPARE_FILES = 100


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
    me = buckets.identity(config.pod, config.pod_ip, config.report_port)
    leases = Leases(api, config.system_namespace, me, config.buckets, time.monotonic)
    wakes = Wakes(loop.publisher.tell_revision, time.time)
    bounds = Bounds()
    ingest = Ingest(
        demand,
        key=lambda: world.report_key,
        clock=time.monotonic,
        on_poke=loop.poke,
        is_ours=leases.is_ours,
        owners=leases.owners,
        bounds=replace(bounds, connections=_allowed(bounds.connections)),
        on_wake=wakes.keep,
    )
    loop.on_scaled = ingest.scaled
    loop.is_ours, loop.may_decide = leases.is_ours, leases.may_decide
    handover = Handover(api, world, time.time)
    loop.hand_over = handover.changed
    keeper = Keeper(
        api, config.system_namespace, world, demand.fleet, loop.slots, config.buckets, time.monotonic, time.time
    )
    keeper.held = leases.held_buckets
    metrics = _metrics(config, loop, ingest, leases, keeper)
    admin = AdminServer(
        is_ready=lambda: True if world.is_synced and not stopping.is_set() else "the caches are not filled yet",
        config=settings.describe(config),
        registry=metrics.registry,
    )
    admin.page("/decisions", decisions_page(loop, leases))
    admin.page("/wakes", wakes_page(wakes, leases))
    for port in (config.admin_port, config.metrics_port):
        await admin.start(config.pod_ip, port)
    caches = (*world.caches, leases.cache, handover.cache)
    running = [tasks.spawn(cache.run(), f"cache {cache.resource.plural}") for cache in caches]
    stopped = tasks.spawn(stopping.wait(), "stopping")
    synced = tasks.spawn(_all_listed(caches), "first lists")
    try:
        await _first_of(stopped, synced, *running)
        if synced.done():
            leases.on_change = _sharer(loop, ingest, keeper)
            running.append(tasks.spawn(leases.run(), "leases"))
            await _some_share(leases)
            port = await ingest.start(config.pod_ip, config.report_port)
            log.info("reports on %s:%d", config.pod_ip, port)
            running += [
                tasks.spawn(loop.run(), "turns"),
                tasks.spawn(_sweep(ingest), "sweep"),
                tasks.spawn(keeper.run(), "keep memories"),
            ]
            run.freeze_start_up()
            await _first_of(stopped, *running)
    finally:
        await tasks.cancel(stopped, synced, *running)
        await keeper.close()
        await leases.resign()
        await ingest.close()
        await handover.close()
        await loop.publisher.close()
        await admin.close()


def _allowed(connections: int) -> int:
    """Raise the limit of open files for so many connections; returns how many that makes room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(SPARE_FILES, min(connections, soft - SPARE_FILES))


def _metrics(config: Config, loop: Loop, ingest: Ingest, leases: Leases, keeper: Keeper) -> Metrics:
    def failures() -> dict[str, int]:
        return {"decision": loop.publisher.failures, "lease": leases.failures, "memory": keeper.failures}

    metrics = Metrics(
        loop.demand, loop.slots, loop.counts, time.monotonic, config.metrics_revisions, loop.roster.asleep
    )
    metrics.count("reports", "Reports by what became of them", "outcome", lambda: ingest.counts)
    metrics.count("events", "Events by what became of them", "outcome", lambda: loop.publisher.recorder.counts)
    metrics.count("failed_writes", "Writes the API server did not take", "of", failures)
    metrics.show("report_connections", "Connections of those who report", lambda: len(ingest.connections))
    metrics.show("buckets", "Parts of the revisions that this replica decides for", lambda: leases.held)
    metrics.show("turn_seconds", "What the last turn of all revisions took", lambda: loop.turn_s)
    metrics.show("remembered_decisions", "Decisions that `tidegate why` can show", lambda: len(loop.history))
    metrics.show("memories_left_out", "Revisions whose memory had no room in its ConfigMap", lambda: keeper.left_out)
    return metrics


def _sharer(loop: Loop, ingest: Ingest, keeper: Keeper) -> Callable[[], None]:
    """Return what follows a change of shares: first our revisions, then what senders are told."""

    def share() -> None:
        loop.shares_changed()
        keeper.shares_changed()
        tasks.spawn(ingest.owners_changed(), "tell owners")

    return share


async def _some_share(leases: Leases) -> None:
    """Wait a moment for what is to be ours, so that the first reports do not meet an autoscaler that has no share."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SHARE_TIMEOUT_S):
            await leases.settled.wait()


async def _all_listed(caches: Iterable[Cache]) -> None:
    for cache in caches:
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
