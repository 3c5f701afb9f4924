"""Starts the gateway: the only module of the package that constructs."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.config import Config
from gateway.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.ports import Ports
from gateway.wakes import Wakes
from gateway.watch import Watch
from tidegate.kube import connect
from tidegate.kube.api import Api
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer, json_page
from tidegate.wire.pool import Pool

log = logging.getLogger("gateway")

FIRST_LIST_TIMEOUT_S = 5.0


def main() -> None:
    """Run until SIGTERM and the drain after it."""
    config = settings.load(Config, program="python -m gateway")
    logs.configure("gateway", config.log_level)
    run.run(lambda stopping: _connect_and_serve(config, stopping))


async def _connect_and_serve(config: Config, stopping: asyncio.Event) -> None:
    async with Client(connect.load()) as api:
        await serve(config, api, stopping)


async def serve(config: Config, api: Api, stopping: asyncio.Event) -> None:
    """Serve requests until `stopping` is set and the drain after it is over."""
    watch, metrics, wakes = Watch(api, config.system_namespace), Metrics(), Wakes()
    pipeline = Pipeline(config, watch, metrics, wakes, stopping.is_set, time.monotonic)
    watch.on_endpoints = pipeline.endpoints_changed
    watch.on_observability = pipeline.log.configure
    pool = Pool()
    ports = Ports(config, pipeline, pool)
    _show(metrics, pipeline, watch, wakes)
    _show_engine(metrics, ports, pool)
    background = watch.start()
    admin = await _start_admin(config, metrics, watch, wakes, stopping)
    await _wait_for_routes(watch, stopping)
    await ports.start()
    run.freeze_start_up()
    await stopping.wait()
    await asyncio.sleep(config.drain_quiet_s)
    await ports.drain(config.drain_timeout_s)
    await tasks.cancel(*background)
    pipeline.log.flush()
    await pool.close()
    await admin.close()


def _show_engine(metrics: Metrics, ports: Ports, pool: Pool) -> None:
    metrics.show("connections_open", "Connections of clients.", lambda: ports.connections_open)
    metrics.show("upstream_connections", "Connections to pods and activators.", lambda: pool.open_count)
    metrics.show("retries", "Attempts that were made again elsewhere.", lambda: ports.retries)


async def _wait_for_routes(watch: Watch, stopping: asyncio.Event) -> None:
    # A gateway that listens before it knows its routes would answer 404 for hosts that exist.
    while not watch.is_synced and not stopping.is_set():
        try:
            await watch.wait_synced(FIRST_LIST_TIMEOUT_S)
        except TimeoutError:
            log.warning("the API server has not listed routes and endpoints yet; not listening")


def _show(metrics: Metrics, pipeline: Pipeline, watch: Watch, wakes: Wakes) -> None:
    metrics.show("requests_in_flight", "Routed requests in flight.", lambda: pipeline.in_flight)
    metrics.show("requests_waiting", "Requests that wait for an activator.", lambda: pipeline.waiting)
    metrics.show("hosts", "Hosts in the routing table.", lambda: len(watch.table))
    metrics.show("wakes", "Requests that met a revision without a ready pod.", lambda: wakes.total)


async def _start_admin(
    config: Config, metrics: Metrics, watch: Watch, wakes: Wakes, stopping: asyncio.Event
) -> AdminServer:
    def is_ready() -> bool | str:
        if stopping.is_set():
            return "shutting down"
        return watch.is_synced or "routes and endpoints are not listed yet"

    admin = AdminServer(is_ready=is_ready, config=settings.describe(config), registry=metrics.registry)
    admin.page("/wakes", lambda _path, _query: json_page(wakes.recent()))
    admin.page("/routes", lambda _path, _query: json_page({host: wheel.weights for host, wheel in watch.table.items()}))
    for port in (config.admin_port, config.metrics_port):
        await admin.start(config.pod_ip, port)
    return admin


if __name__ == "__main__":
    main()
