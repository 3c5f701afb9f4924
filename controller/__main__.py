"""Parse, build, run: the controller process."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import dataclass

from controller import handlers, webhook
from controller.cluster_config import ClusterConfig
from controller.config import Config
from controller.election import Election
from controller.gateways import Gateways
from controller.gather import World
from controller.objects import Objects
from controller.watchdog import Watchdog
from controller.webhook import Webhook
from controller.worker import Worker
from tidegate.kube import connect
from tidegate.kube.client import Client
from tidegate.process import logs, settings, tasks
from tidegate.process.admin import AdminServer
from tidegate.process.run import freeze_start_up, run

log = logging.getLogger(__name__)

LEASE = "controller"


@dataclass(frozen=True)
class Parts:
    """What the process is made of."""

    config: Config
    connection: connect.Connection
    worker: Worker
    gateways: Gateways
    watchdog: Watchdog
    hook: Webhook
    election: Election


def build(config: Config, client: Client) -> Parts:
    """Return the parts, wired; nothing runs yet."""
    gateways = Gateways(client, config.system_namespace, config.gateway_admin_port)
    world = World(Objects(), ClusterConfig())
    worker = Worker(client, world, config.concurrency, namespace=config.system_namespace, gateways=gateways)
    watchdog = Watchdog(client, worker, config.system_namespace)
    hook = Webhook(client, config.system_namespace, lambda: worker.world.config)
    me = config.pod_name or socket.gethostname()
    election = Election(client, config.system_namespace, LEASE, me, time.monotonic)
    return Parts(config, client.connection, worker, gateways, watchdog, hook, election)


async def serve(config: Config, stopping: asyncio.Event) -> None:
    """Run the controller until `stopping` is set."""
    connection = connect.load(config.kubeconfig or None)
    async with Client(connection, user_agent="tidegate-controller") as client:
        parts = build(config, client)
        admin = AdminServer(is_ready=lambda: _readiness(parts), config=settings.describe(config))
        for port in (config.admin_port, config.metrics_port):
            await admin.start(config.pod_ip, port)
        working = tasks.spawn(work(parts, stopping), "controller")
        stopper = tasks.spawn(stopping.wait(), "stop")
        try:
            await asyncio.wait({working, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.set()
            await tasks.cancel(working, stopper)
            await admin.close()
        if not working.cancelled() and (error := working.exception()) is not None:
            raise error


async def work(parts: Parts, stopping: asyncio.Event) -> None:
    """Read what there is, open the webhook, then reconcile whenever we lead, until cancelled."""
    config, hook, watchdog = parts.config, parts.hook, parts.watchdog
    await watchdog.prepare()
    await hook.start(config.pod_ip, config.webhook_port)
    running = [
        tasks.spawn(webhook.keep_checked(hook, config.resync_s), "webhook check"),
        tasks.spawn(parts.election.run(lambda: _lead(parts)), "election"),
        tasks.spawn(parts.gateways.run(), "gateways"),
        tasks.spawn(watchdog.run(config.resync_s, config.relist_s), "watchdog"),
        tasks.spawn(
            handlers.run(parts.worker, parts.connection, config.system_namespace, watchdog.read_config, stopping),
            "watches",
        ),
    ]
    freeze_start_up()
    log.info("started", extra={"fields": settings.describe(config)})
    try:
        # None of these ends by itself: who does has failed, and the process with it, so that it is started anew.
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await tasks.cancel(*running)
        await hook.close()


async def _lead(parts: Parts) -> None:
    """Reconcile, from a look at all there is: what another leader left half done is nobody's change."""
    parts.worker.mark_everything()
    await parts.worker.run()


def _readiness(parts: Parts) -> bool | str:
    if not parts.watchdog.is_synced:
        return "the first list of objects has not arrived"
    return parts.hook.is_trusted or "the webhook configurations do not carry our certificate yet"


def main() -> None:
    """Entry point of `python -m controller`."""
    config = settings.load(Config, program="controller")
    logs.configure("controller", config.log_level)
    run(lambda stopping: serve(config, stopping))


if __name__ == "__main__":
    main()
