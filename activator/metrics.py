"""Prometheus metrics of the activator: results, who waits and for how long, ejections, the autoscaler link."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegate.wire.results import WAITS_S, Results


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.results = Results("tidegate_activator", self.registry)
        self.waited = Histogram(
            "tidegate_activator_wait_seconds",
            "Time in the waiting room, of requests that had to wait and got a seat.",
            buckets=WAITS_S,
            registry=self.registry,
        )
        self.ejections = Counter(
            "tidegate_activator_ejections", "Pods set aside because they refused a connection.", registry=self.registry
        )
        self.standby = Counter(
            "tidegate_activator_standby_requests",
            "Requests that a standby pod took, because no other pod was there or had room.",
            registry=self.registry,
        )

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_activator_{name}", meaning, registry=self.registry).set_function(read)
