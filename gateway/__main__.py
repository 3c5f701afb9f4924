"""Starts the gateway: the only module of the package that constructs."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable

import msgspec

from gateway import seat
from gateway.certificates import Certificates
from gateway.config import Config
from gateway.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.ports import Ports
from gateway.programmed import Programmed
from gateway.routes import Table, Weights
from gateway.wakes import Wakes
from gateway.watch import Watch
from gateway.workers import Workers
from tidegate.contracts import programmed
from tidegate.contracts.config.observability import Observability
from tidegate.kube import connect, observability
from tidegate.kube.api import Api
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer, json_page
from tidegate.process.span_export import SpanExport
from tidegate.wire.engine_metrics import EngineMetrics
from tidegate.wire.pool import Pool
from tidegate.wire.tracing import Tracing

log = logging.getLogger("gateway")

FIRST_LIST_TIMEOUT_S = 5.0
LEAVE_AFTER_OTHERS_S = 0.2
"""The first worker stops listening this much later than the others: it takes off what they all left by."""


def main() -> None:
    """Run until SIGTERM and the drain after it."""
    config = settings.load(Config, program="python -m gateway")
    logs.configure("gateway", config.log_level)
    if config.workers > 1:
        # The last flag wins, so each worker is a gateway with the same settings but one.
        command = [sys.executable, "-m", "gateway", *sys.argv[1:], "--workers", "1"]
        run.run(Workers(config, command).run)
    else:
        tie = seat.descriptor()
        run.run(lambda stopping: _connect_and_serve(config, stopping, tie))


async def _connect_and_serve(config: Config, stopping: asyncio.Event, tie: int | None) -> None:
    own_seat = None if tie is None else seat.Seat(tie, stopping)
    async with Client(connect.load()) as api:
        await serve(config, api, stopping, own_seat)


async def serve(config: Config, api: Api, stopping: asyncio.Event, own_seat: seat.Seat | None = None) -> None:
    """Serve requests until `stopping` is set and the drain after it is over.

    With a seat this process is one of several workers: it shares the port for clients, and its admin pages are for
    their supervisor.
    """
    phase, workers = seat.phase(), seat.count()
    watch, metrics, wakes = Watch(api, config.system_namespace, phase), Metrics(), Wakes()
    pipeline = Pipeline(config, watch, metrics, wakes, stopping.is_set, time.monotonic)
    watch.on_endpoints = pipeline.endpoints_changed
    watch.on_observability = pipeline.log.configure
    pool = Pool()
    export = _export_spans(config, await observability.read(api, config.system_namespace), metrics, pipeline)
    certificates = Certificates(api)
    ports = Ports(config, pipeline, pool, certificates)
    _show(metrics, pipeline, watch, wakes)
    metrics.show("certificates", "Hosts that have a certificate of their own.", lambda: len(certificates))
    metrics.show("tls_names_refused", "Handshakes for names without a certificate.", lambda: certificates.refused)
    EngineMetrics("tidegate_gateway", metrics.registry, lambda: ports.counters, pool, lambda: ports.tls_counters)
    admin = _make_admin(config, metrics, watch, wakes, lambda: _readiness(watch, ports, stopping))
    admin.page(programmed.PATH, _tables(config, watch, certificates).page)
    if own_seat is None:
        for port in (config.admin_port, config.metrics_port):
            await admin.start(config.pod_ip, port)
    else:
        await own_seat.open()
        own_seat.tell(await admin.start(seat.ADMIN_HOST, 0))
    # Not before the admin pages: a worker that cannot be asked how far its tables have come has none yet.
    background = watch.start()
    if config.has_tls:
        background.append(tasks.spawn(certificates.run(), "watch certificates"))
    await _wait_for_routes(watch, stopping)
    if config.has_tls:
        await certificates.wait_listed(FIRST_LIST_TIMEOUT_S)
    await ports.start(is_shared=own_seat is not None)
    run.freeze_start_up()
    await stopping.wait()
    ports.leave_to_next(workers)
    await asyncio.sleep(config.drain_quiet_s)
    if phase == 0:
        await asyncio.sleep(LEAVE_AFTER_OTHERS_S if workers > 1 else 0)
        ports.leave()
    await ports.drain(config.drain_timeout_s)
    await tasks.cancel(*background)
    pipeline.log.flush()
    if export is not None:
        await export.close()
    await pool.close()
    await admin.close()


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


def _export_spans(config: Config, values: Observability, metrics: Metrics, pipeline: Pipeline) -> SpanExport | None:
    endpoint, rate = values.tracing_endpoint, values.tracing_sampling_rate
    if config.tracing_endpoint:
        endpoint, rate = config.tracing_endpoint, config.tracing_sampling_rate
    if not endpoint:
        return None
    resource = {"service.name": "tidegate-gateway", "k8s.pod.ip": config.pod_ip}
    export = SpanExport(endpoint, resource, "tidegate_gateway", metrics.registry)
    export.start()
    pipeline.tracing = Tracing(export.add, rate)
    return export


def _readiness(watch: Watch, ports: Ports, stopping: asyncio.Event) -> bool | str:
    if stopping.is_set():
        return "shutting down"
    if not watch.is_synced:
        return "routes and endpoints are not listed yet"
    return ports.are_open or "not listening yet"


def _weights(table: Table) -> dict[str, Weights]:
    return {host: wheel.weights for host, wheel in table.items()}


def _make_admin(
    config: Config, metrics: Metrics, watch: Watch, wakes: Wakes, is_ready: Callable[[], bool | str]
) -> AdminServer:
    admin = AdminServer(is_ready=is_ready, config=settings.describe(config), registry=metrics.registry)
    admin.page("/wakes", lambda _path, _query: json_page(wakes.recent()))
    admin.page("/routes", lambda _path, _query: json_page(_weights(watch.table)))
    admin.page("/routes/local", lambda _path, _query: json_page(_weights(watch.local_table)))
    return admin


def _tables(config: Config, watch: Watch, certificates: Certificates) -> Programmed:
    def versions() -> programmed.Versions:
        # Who has no TLS listener reads no certificates, and keeps nobody waiting for them.
        shown = certificates.programmed if config.has_tls else programmed.ALL
        return msgspec.structs.replace(watch.programmed, certificates=shown)

    tables = Programmed(versions)
    watch.on_tables = certificates.on_table = tables.changed
    return tables


if __name__ == "__main__":
    main()
