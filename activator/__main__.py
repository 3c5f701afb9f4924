"""Starts the activator: the only module of the package that constructs."""

from __future__ import annotations

import asyncio
import logging
import time

from activator.backends import Backends, Key, ask_pod
from activator.config import Config
from activator.demand import Demand
from activator.metrics import Metrics
from activator.pipeline import Pipeline
from activator.ports import Ports
from activator.watch import Watch
from tidegate.contracts import buckets, report
from tidegate.contracts.config.observability import Observability
from tidegate.kube import connect, observability
from tidegate.kube.api import Api
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer
from tidegate.process.report_links import ReportLinks
from tidegate.process.span_export import SpanExport
from tidegate.wire.engine_metrics import EngineMetrics
from tidegate.wire.limits import BETWEEN_HOPS, ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.tracing import Tracing

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
    links = _make_links(config, watch)
    demand = pipeline.demand = Demand(links, time.monotonic, pipeline.waiting_for)
    backends = pipeline.backends = _make_backends(pipeline, watch)
    demand.on_asked = pipeline.wakes.asked
    links.on_scaled = lambda scaled: pipeline.wakes.scaled((scaled.namespace, scaled.revision))
    watch.on_endpoints = backends.replace
    watch.on_revision_gone = pipeline.revision_gone
    watch.on_handed_back = pipeline.handed_back
    watch.on_link_changed = links.refresh
    observed = await observability.read(api, config.system_namespace)
    pipeline.wakes.writes_header = observed.is_wake_timing_enabled
    export = _export_spans(config, observed, metrics, pipeline)
    pool = Pool()
    ports = Ports(config, pipeline, pool, ServerTimers(**BETWEEN_HOPS))
    watch.on_certificate = ports.show
    _show(metrics, pipeline, links, ports)
    EngineMetrics("tidegate_activator", metrics.registry, lambda: ports.counters, pool, lambda: ports.tls_counters)
    links.refresh()
    background = [*watch.start(), tasks.spawn(demand.run(), "demand")]
    await ports.start()
    admin = await _start_admin(config, metrics, watch, stopping)
    run.freeze_start_up()
    await stopping.wait()
    # Gateways drop a terminating activator from their endpoints; what they had already sent still arrives.
    await asyncio.sleep(config.drain_quiet_s)
    await ports.drain(config.drain_timeout_s)
    if export is not None:
        await export.close()
    await tasks.cancel(*background)
    await links.close()
    await pool.close()
    await admin.close()


def _export_spans(config: Config, values: Observability, metrics: Metrics, pipeline: Pipeline) -> SpanExport | None:
    endpoint, rate = values.tracing_endpoint, values.tracing_sampling_rate
    if config.tracing_endpoint:
        endpoint, rate = config.tracing_endpoint, config.tracing_sampling_rate
    if not endpoint:
        return None
    resource = {"service.name": "tidegate-activator", "k8s.pod.name": config.pod, "k8s.pod.ip": config.pod_ip}
    export = SpanExport(endpoint, resource, "tidegate_activator", metrics.registry)
    export.start()
    pipeline.trace_by(Tracing(export.add, rate))
    return export


def _make_links(config: Config, watch: Watch) -> ReportLinks:
    fixed = buckets.address_of(config.autoscaler_address) if config.autoscaler_address else None

    def addresses() -> frozenset[tuple[str, int]]:
        return frozenset({fixed}) if fixed else watch.autoscaler_addresses()

    def hello() -> report.Hello | None:
        key = watch.report_key()
        if key is None:
            return None
        token = report.token(key, "", report.ANY_REVISION)
        return report.Hello("activator", config.pod, "", report.ANY_REVISION, token)

    return ReportLinks(addresses, hello)


def _make_backends(pipeline: Pipeline, watch: Watch) -> Backends:
    def may_hurry(key: Key) -> bool:
        revision = watch.revision(key)
        return revision is not None and revision.may_hurry

    return Backends(
        on_change=pipeline.pods_changed,
        is_wanted=lambda key: pipeline.waiting_for(key) > 0,
        may_hurry=may_hurry,
        on_started=pipeline.wakes.started,
        ask_by_tls=lambda key, address: ask_pod(address, pipeline.peer_of(key)),
    )


def _show(metrics: Metrics, pipeline: Pipeline, links: ReportLinks, ports: Ports) -> None:
    metrics.show("requests_in_flight", "Requests in flight, waiting ones included.", lambda: ports.in_flight)
    metrics.show("requests_waiting", "Requests in all waiting rooms.", lambda: pipeline.waiting)
    metrics.show("wakes_under_way", "Cold starts that a request waits for.", lambda: len(pipeline.wakes))
    metrics.show("autoscaler_connected", "Autoscaler replicas that reports reach.", lambda: links.connected)
    metrics.show("reports_dropped", "Reports that could not be sent.", lambda: links.dropped)


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
