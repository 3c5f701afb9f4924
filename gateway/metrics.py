"""Prometheus metrics of the gateway: results, the way taken, wakes, ejections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.wire.results import Results


class Metrics:
    """The metrics of this process, in a registry of its own. `to_pod`, `to_activator`: attempts sent there."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.results = Results("tidegate_gateway", self.registry)
        self.to_pod = 0
        self.to_activator = 0
        self.registry.register(_Ways(self))
        self.ejections = Counter(
            "tidegate_gateway_ejections",
            "Pods and activators set aside because they refused a connection.",
            registry=self.registry,
        )

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when scraped."""
        Gauge(f"tidegate_gateway_{name}", meaning, registry=self.registry).set_function(read)


class _Ways(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        picks = CounterMetricFamily(
            "tidegate_gateway_picks", "Attempts sent to a pod or an activator.", labels=("way",)
        )
        picks.add_metric(("pod",), self._metrics.to_pod)
        picks.add_metric(("activator",), self._metrics.to_activator)
        yield picks
