"""Prometheus metrics of one queueproxy: requests by result, in flight, queue depth, time in the queue, app latency.

Labels are bounded: reasons are the closed list of contracts.outcomes, statuses are classes. The revision's names come
as target labels of the scrape. Probes are never counted.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from queueproxy.limiter import Limiter
from queueproxy.meter import Meter
from tidegate.wire.director import Outcome

DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tidegate_queueproxy_requests",
            "Requests that ended, by status class and by the reason when Tidegate answered itself.",
            ("code_class", "reason"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "tidegate_queueproxy_request_duration_seconds",
            "From the head's arrival to the answer's last byte.",
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self.queued = Histogram(
            "tidegate_queueproxy_queue_wait_seconds",
            "Time in the queue, of requests that had to wait.",
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._children: dict[tuple[int, str], Counter] = {}

    def watch(self, limiter: Limiter[Any], meter: Meter) -> None:
        """Show the queue's depth and what is in flight; read when scraped."""
        depth = Gauge("tidegate_queueproxy_queue_depth", "Requests that wait for a slot.", registry=self.registry)
        depth.set_function(lambda: limiter.waiting)
        in_flight = Gauge(
            "tidegate_queueproxy_requests_in_flight", "Requests in flight, queued included.", registry=self.registry
        )
        in_flight.set_function(lambda: meter.in_flight)

    def ended(self, outcome: Outcome, reason: str) -> None:
        """Count one request."""
        key = (outcome.status // 100, reason)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(f"{key[0]}xx" if key[0] else "none", reason)
        child.inc()
        self._duration.observe(outcome.duration_s)
