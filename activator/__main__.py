"""Starts the activator: the only module of the package that constructs."""

from __future__ import annotations

import asyncio
import logging
import time

from activator.backends import Backends, Key
from activator.config import Config
from activator.demand import Demand
from activator.metrics import Metrics
from activator.pipeline import Pipeline
from activator.watch import Watch
from tidegate.contracts import report
from tidegate.kube import connect
from tidegate.kube.api import Api
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer
from tidegate.process.report_link import ReportLink
from tidegate.wire.engine_metrics import EngineMetrics
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server

log = logging.getLogger("activator")


def main() -> None:
    """Run until SIGTERM and the drain after it."""
    config = settings.load(Config, program="python -m activator")
    logs.configure("activator", config.log_level)
    run.run(lambda stopping: _connect_and_serve(config, stopping))


async def _connect_and_serve(config: Config, stopping: asyncio.Event) -> None:
    async with Client(connect.load()) as api:
        await serve(config, api, stopping)


async def serve(config: Config, api: Api, stopping: asyncio.Event) -> None:
    """Serve requests until `stopping` is set and the drain after it is over."""
    watch = Watch(api, config.system_namespace, config.connect_timeout_s)
    metrics = Metrics()
    pipeline = Pipeline(config, watch, metrics, stopping.is_set, time.monotonic)
    link = _make_link(config, watch)
    demand = pipeline.demand = Demand(link, time.monotonic, pipeline.waiting_for)
    backends = pipeline.backends = _make_backends(pipeline, watch)
    watch.on_endpoints = backends.replace
    watch.on_revision_gone = pipeline.revision_gone
    watch.on_link_changed = link.retry_now
    pool = Pool()
    server = Server(pipeline, pool)
    _show(metrics, pipeline, link, server)
    EngineMetrics("tidegate_activator", metrics.registry, lambda: (server.counters,), pool)
    background = [*watch.start(), tasks.spawn(link.run(), "report-link"), tasks.spawn(demand.run(), "demand")]
    await server.start(config.pod_ip, config.serving_port)
    admin = await _start_admin(config, metrics, watch, stopping)
    run.freeze_start_up()
    await stopping.wait()
    # Gateways drop a terminating activator from their endpoints; what they had already sent still arrives.
    await asyncio.sleep(config.drain_quiet_s)
    await server.drain(config.drain_timeout_s)
    await tasks.cancel(*background)
    await pool.close()
    await admin.close()


def _make_link(config: Config, watch: Watch) -> ReportLink:
    def address() -> tuple[str, int] | None:
        if config.autoscaler_address:
            host, _, port = config.autoscaler_address.rpartition(":")
            return host, int(port)
        return watch.autoscaler_address()

    def hello() -> report.Hello | None:
        key = watch.report_key()
        if key is None:
            return None
        token = report.token(key, "", report.ANY_REVISION)
        return report.Hello("activator", config.pod, "", report.ANY_REVISION, token)

    return ReportLink(address, hello)


def _make_backends(pipeline: Pipeline, watch: Watch) -> Backends:
    def may_hurry(key: Key) -> bool:
        revision = watch.revision(key)
        return revision is not None and revision.may_hurry

    return Backends(
        on_change=pipeline.pods_changed,
        is_wanted=lambda key: pipeline.waiting_for(key) > 0,
        may_hurry=may_hurry,
    )


def _show(metrics: Metrics, pipeline: Pipeline, link: ReportLink, server: Server) -> None:
    metrics.show("requests_in_flight", "Requests in flight, waiting ones included.", lambda: server.in_flight)
    metrics.show("requests_waiting", "Requests in all waiting rooms.", lambda: pipeline.waiting)
    metrics.show("autoscaler_connected", "1 while reports reach the autoscaler.", lambda: link.is_connected)
    metrics.show("reports_dropped", "Reports that could not be sent.", lambda: link.dropped)


async def _start_admin(config: Config, metrics: Metrics, watch: Watch, stopping: asyncio.Event) -> AdminServer:
    def is_ready() -> bool | str:
        if stopping.is_set():
            return "shutting down"
        return watch.is_synced or "revisions and endpoints are not listed yet"

    admin = AdminServer(is_ready=is_ready, config=settings.describe(config), registry=metrics.registry)
    for port in (config.admin_port, config.metrics_port):
        await admin.start(config.pod_ip, port)
    return admin


if __name__ == "__main__":
    main()
