"""Parse, build, run: the controller process."""

from __future__ import annotations

import asyncio
import logging

from controller import handlers, webhook
from controller.cluster_config import ClusterConfig
from controller.config import Config
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


async def serve(config: Config, stopping: asyncio.Event) -> None:
    """Run the controller until `stopping` is set."""
    connection = connect.load(config.kubeconfig or None)
    async with Client(connection, user_agent="tidegate-controller") as client:
        worker = Worker(client, World(Objects(), ClusterConfig()), config.concurrency)
        watchdog = Watchdog(client, worker, config.system_namespace)
        hook = Webhook(client, config.system_namespace, lambda: worker.world.config)
        admin = AdminServer(is_ready=lambda: _readiness(watchdog, hook), config=settings.describe(config))
        await admin.start(config.pod_ip, config.admin_port)
        started = tasks.spawn(_run(config, connection, worker, watchdog, hook, stopping), "controller")
        stopper = tasks.spawn(stopping.wait(), "stop")
        try:
            await asyncio.wait({started, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.set()
            await tasks.cancel(started, stopper)
            await hook.close()
            await admin.close()
        if not started.cancelled() and (error := started.exception()) is not None:
            raise error


async def _run(
    config: Config,
    connection: connect.Connection,
    worker: Worker,
    watchdog: Watchdog,
    hook: Webhook,
    stopping: asyncio.Event,
) -> None:
    await watchdog.prepare()
    await hook.start(config.pod_ip, config.webhook_port)
    helpers = [
        tasks.spawn(webhook.keep_checked(hook, config.resync_s), "webhook check"),
        tasks.spawn(worker.run(), "worker"),
        tasks.spawn(watchdog.run(config.resync_s, config.relist_s), "watchdog"),
    ]
    freeze_start_up()
    log.info("started", extra={"fields": settings.describe(config)})
    try:
        await handlers.run(worker, connection, config.system_namespace, watchdog.read_config, stopping)
    finally:
        await tasks.cancel(*helpers)


def _readiness(watchdog: Watchdog, hook: Webhook) -> bool | str:
    if not watchdog.is_synced:
        return "the first list of objects has not arrived"
    return hook.is_trusted or "the webhook configurations do not carry our certificate yet"


def main() -> None:
    """Entry point of `python -m controller`."""
    config = settings.load(Config, program="controller")
    logs.configure("controller", config.log_level)
    run(lambda stopping: serve(config, stopping))


if __name__ == "__main__":
    main()
