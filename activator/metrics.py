"""Prometheus metrics of the activator: results, who waits and for how long, wakes, ejections, the autoscaler link."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegate.contracts import wake
from tidegate.wire.results import WAITS_S, Results

UNTOLD = "untold"
"""The label of a stretch of a wake whose phases nobody told apart."""


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
        self.wakes = Histogram(
            "tidegate_activator_wake_seconds",
            "Cold starts, from the arrival of the request that paid one until its answer began.",
            buckets=WAITS_S,
            registry=self.registry,
        )
        self.wake_phases = Histogram(
            "tidegate_activator_wake_phase_seconds",
            "Parts of cold starts; phases that the pod did not tell apart are `untold` together.",
            labelnames=("phase",),
            buckets=WAITS_S,
            registry=self.registry,
        )
        for phase in (*wake.PHASES, UNTOLD):
            self.wake_phases.labels(phase)
        self.ejections = Counter(
            "tidegate_activator_ejections", "Pods set aside because they refused a connection.", registry=self.registry
        )
        self.standby = Counter(
            "tidegate_activator_standby_requests",
            "Requests that a standby pod took, because no other pod was there or had room.",
            registry=self.registry,
        )

    def woke(self, record: wake.Wake) -> None:
        """Count one wake and its phases."""
        self.wakes.observe(record.total_us / 1e6)
        for stretch in record.stretches:
            phase = stretch.phases[0] if len(stretch.phases) == 1 else UNTOLD
            self.wake_phases.labels(phase).observe(stretch.duration_us / 1e6)

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_activator_{name}", meaning, registry=self.registry).set_function(read)
