"""Prometheus metrics of one queueproxy: results, in flight, queue depth, time in the queue.

The revision's names come as target labels of the scrape. Probes are never counted.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from tidegate.wire.results import WAITS_S, Results


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.results = Results("tidegate_queueproxy", self.registry)
        self.queued = Histogram(
            "tidegate_queueproxy_queue_wait_seconds",
            "Time in the queue, of requests that had to wait.",
            buckets=WAITS_S,
            registry=self.registry,
        )

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_queueproxy_{name}", meaning, registry=self.registry).set_function(read)
