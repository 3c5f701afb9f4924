"""What the router counts: requests and time of each step, by node, step and status."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Counts:
    """The metrics of one router."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "inference_graph_step_requests", "Requests to a step", ["node", "step", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "inference_graph_step_duration_seconds",
            "Time of a step, its cold start included",
            ["node", "step"],
            buckets=BOUNDS_S,
            registry=self.registry,
        )
        self._dropped = Counter(
            "inference_graph_shadows_dropped", "Copies that found no room", ["node", "step"], registry=self.registry
        )
        self.inside = Gauge("inference_graph_requests_inside", "Requests on their way", registry=self.registry)

    def asked(self, node: str, step: str, status: int, took_s: float) -> None:
        """Count one question to a service."""
        self._requests.labels(node, step, status).inc()
        self._seconds.labels(node, step).observe(took_s)

    def dropped(self, node: str, step: str) -> None:
        """Count a copy for a shadow that found no room."""
        self._dropped.labels(node, step).inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self.registry)
