"""The adapter's own numbers, and Triton's `nv_*` behind them on the same page. Values are read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtimes.triton.repository_api import RepositoryApi
from runtimes.triton.residency import Residency
from tidegate.process.admin import Page

_PREFIX = "tidegate_triton_"
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ResidencyMetrics(Collector):
    """Loads, failures, evictions and waiters of one residency."""

    def __init__(self, residency: Residency, registry: CollectorRegistry) -> None:
        self._residency = residency
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        seen = self._residency
        for name, meaning, value in (
            ("model_loads", "Models loaded on demand.", seen.loads),
            ("model_load_failures", "Loads on demand that failed.", seen.failed_loads),
            ("model_load_seconds", "Time of loads on demand, those that failed included.", seen.load_s),
            ("model_evictions", "Models unloaded for another.", seen.evictions),
            ("model_waits_refused", "Requests refused because too many waited for models.", seen.refused),
        ):
            yield CounterMetricFamily(_PREFIX + name, meaning, value=value)
        yield GaugeMetricFamily(_PREFIX + "models_loaded", "Models known to be in memory.", value=len(seen.loaded))
        yield GaugeMetricFamily(_PREFIX + "requests_waiting", "Requests that wait for a model.", value=seen.waiting)


async def page(registry: CollectorRegistry, api: Callable[[], RepositoryApi | None]) -> Page:
    """Return the metrics of both processes."""
    asked = api()
    theirs = await asked.metrics() if asked is not None else b""
    return Page(200, generate_latest(registry) + theirs, _TYPE)
