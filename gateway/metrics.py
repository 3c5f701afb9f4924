"""Prometheus metrics of the gateway: requests by result and by way, latency, wakes, ejections.

Labels are bounded: reasons are a closed list, statuses are classes, the way is pod or activator. Probes are never
counted.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegate.wire.director import Answer, Outcome

DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tidegate_gateway_requests",
            "Requests that ended, by status class and by the reason when Tidegate answered itself.",
            ("code_class", "reason"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "tidegate_gateway_request_duration_seconds",
            "From the head's arrival to the answer's last byte.",
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        picks = Counter(
            "tidegate_gateway_picks", "Attempts sent to a pod or an activator.", ("way",), registry=self.registry
        )
        self.to_pod, self.to_activator = picks.labels("pod"), picks.labels("activator")
        self.ejections = Counter(
            "tidegate_gateway_ejections",
            "Pods and activators set aside because they refused a connection.",
            registry=self.registry,
        )
        self._children: dict[tuple[int, str], Counter] = {}

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_gateway_{name}", meaning, registry=self.registry).set_function(read)

    def ended(self, outcome: Outcome) -> None:
        """Count one request."""
        if outcome.failure is not None:
            reason = outcome.failure.value
        else:
            reason = outcome.direction.reason if isinstance(outcome.direction, Answer) else ""
        key = (outcome.status // 100, reason)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(f"{key[0]}xx" if key[0] else "none", reason)
        child.inc()
        self._duration.observe(outcome.duration_s)
