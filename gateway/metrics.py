"""Prometheus metrics of the gateway: results, the way taken, wakes, ejections."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from tidegate.wire.results import Results


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.results = Results("tidegate_gateway", self.registry)
        picks = Counter(
            "tidegate_gateway_picks", "Attempts sent to a pod or an activator.", ("way",), registry=self.registry
        )
        self.to_pod, self.to_activator = picks.labels("pod"), picks.labels("activator")
        self.ejections = Counter(
            "tidegate_gateway_ejections",
            "Pods and activators set aside because they refused a connection.",
            registry=self.registry,
        )

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_gateway_{name}", meaning, registry=self.registry).set_function(read)
