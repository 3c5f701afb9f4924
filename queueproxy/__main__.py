"""Starts queueproxy: the only module of the package that constructs.

Its imports are done beforehand in the process node's template, from which queueproxies are forked; so nothing is
built while importing, and nothing heavy is imported later.
"""

from __future__ import annotations

import asyncio
import logging
import time

from queueproxy.config import Config
from queueproxy.drain import Drain
from queueproxy.limiter import Limiter
from queueproxy.meter import Meter
from queueproxy.metrics import Metrics
from queueproxy.pipeline import Pipeline, Visit
from queueproxy.ports import Ports
from queueproxy.probe import AppProtocol, Readiness, parse
from queueproxy.report import Reporter
from tidegate.contracts import headers, report
from tidegate.process import logs, run, settings, start_clock, tasks
from tidegate.process.admin import AdminServer, Page
from tidegate.process.report_link import ReportLink
from tidegate.process.span_export import SpanExport
from tidegate.wire.engine_metrics import EngineMetrics
from tidegate.wire.limits import BETWEEN_HOPS, ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.tracing import Tracing

log = logging.getLogger("queueproxy")

DRAIN_PAGE_TIMEOUT_S = 3600.0  # the pod's grace period ends it sooner


def main() -> None:
    """Run until SIGTERM and the drain after it."""
    config = settings.load(Config, program="python -m queueproxy")
    logs.configure("queueproxy", config.log_level)
    run.run(lambda stopping: serve(config, stopping))


async def serve(config: Config, stopping: asyncio.Event) -> None:
    """Serve requests until `stopping` is set and the drain after it is over."""
    limiter: Limiter[Visit] = Limiter(config.container_concurrency, config.queue_limit)
    meter, metrics = Meter(time.monotonic()), Metrics()
    protocol = AppProtocol(config.user_port, config.user_protocol, detects=config.http2_auto_detection)
    probes = parse(config.readiness_probe, config.user_port, config.user_protocol)
    readiness = Readiness(probes, protocol, start_clock.began()[0])
    drain = Drain(meter, time.monotonic, quiet_s=config.drain_quiet_s, idle_s=config.drain_idle_s)
    pipeline = Pipeline(config, limiter, meter, readiness, metrics, lambda: drain.is_draining, time.monotonic)
    export = _export_spans(config, metrics, pipeline)
    pool = Pool(strip_answer_prefixes=headers.INTERNAL_ANSWER_PREFIXES)  # the app speaks for itself, not for us
    ports = Ports(config, pipeline, pool, ServerTimers(**BETWEEN_HOPS))
    _show(metrics, limiter, meter)
    EngineMetrics("tidegate_queueproxy", metrics.registry, lambda: ports.counters, pool, lambda: ports.tls_counters)
    await ports.start()
    admin = await _start_admin(config, metrics, drain)
    reporting = _start_reporting(config, meter)
    run.freeze_start_up()
    await stopping.wait()
    await drain.until_quiet()
    # The app ends its WebSockets by itself when it is told to go, with a close frame; we would only cut them.
    await ports.drain(_drain_limit_s(config), drain.finish)
    pipeline.log.flush()
    if export is not None:
        await export.close()
    await tasks.cancel(*reporting)
    await pool.close()
    await admin.close()


def _export_spans(config: Config, metrics: Metrics, pipeline: Pipeline) -> SpanExport | None:
    if not config.tracing_endpoint:
        return None
    resource = {
        "service.name": config.service or config.revision or "queueproxy",
        "k8s.namespace.name": config.namespace,
        "k8s.pod.name": config.pod,
        "k8s.pod.ip": config.pod_ip,
        "kn.revision.name": config.revision,
        "kn.configuration.name": config.configuration,
    }
    export = SpanExport(config.tracing_endpoint, resource, "tidegate_queueproxy", metrics.registry)
    export.start()
    pipeline.trace_by(Tracing(export.add, config.tracing_sampling_rate))
    return export


def _show(metrics: Metrics, limiter: Limiter[Visit], meter: Meter) -> None:
    metrics.show("queue_depth", "Requests that wait for a slot.", lambda: limiter.waiting)
    metrics.show("requests_in_flight", "Requests in flight, queued included.", lambda: meter.in_flight)


async def _start_admin(config: Config, metrics: Metrics, drain: Drain) -> AdminServer:
    admin = AdminServer(
        is_ready=lambda: "shutting down" if drain.is_draining else True,
        config=settings.describe(config),
        registry=metrics.registry,
    )

    async def wait_for_drain(_path: str, _query: dict[str, str]) -> Page:
        return Page(200, b"drained\n" if await drain.wait() else b"not draining\n")

    admin.page("/wait-for-drain", wait_for_drain, timeout_s=DRAIN_PAGE_TIMEOUT_S)
    for port in (config.admin_port, config.metrics_port):
        await admin.start(config.pod_ip, port)
    return admin


def _start_reporting(config: Config, meter: Meter) -> list[asyncio.Task[None]]:
    if config.autoscaler is None:
        return []
    hello = report.Hello("queueproxy", config.pod, config.namespace, config.revision, config.report_token)
    link = ReportLink(lambda: config.autoscaler, lambda: hello)
    reporter = Reporter(meter, link, time.monotonic, namespace=config.namespace, revision=config.revision)
    link.on_connected, link.on_owners = reporter.connected, reporter.owners_changed
    return [tasks.spawn(link.run(), "report-link"), tasks.spawn(reporter.run(), "reporter")]


def _drain_limit_s(config: Config) -> float:
    # Requests end by the revision's timeout at the latest; without one, the grace period of the pod decides.
    return config.timeout_s or DRAIN_PAGE_TIMEOUT_S


if __name__ == "__main__":
    main()
