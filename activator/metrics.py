"""Prometheus metrics of the activator: requests by result, who waits and for how long, ejections, the autoscaler
link.

Labels are bounded: reasons are a closed list and statuses are classes; revisions are not labels here (the autoscaler
and queueproxies tell them apart).
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegate.wire.director import Answer, Outcome

WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tidegate_activator_requests",
            "Requests that ended, by status class and by the reason when Tidegate answered itself.",
            ("code_class", "reason"),
            registry=self.registry,
        )
        self.waited = Histogram(
            "tidegate_activator_wait_seconds",
            "Time in the waiting room, of requests that had to wait and got a seat.",
            buckets=WAITS_S,
            registry=self.registry,
        )
        self.ejections = Counter(
            "tidegate_activator_ejections", "Pods set aside because they refused a connection.", registry=self.registry
        )
        self._children: dict[tuple[int, str], Counter] = {}

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_activator_{name}", meaning, registry=self.registry).set_function(read)

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
