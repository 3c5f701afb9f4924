"""`http_server_request_duration_seconds`: durations by the names and bounds of OpenTelemetry's HTTP conventions.

Counts are plain numbers of the event loop's thread, turned into a metric when scraped. Labels are bounded: methods are
a closed list, and beyond `SERIES_LIMIT` combinations everything new is counted as `_OTHER`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SHORTEST_S: Final = 0.005
BOUNDS_S: Final = (SHORTEST_S, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY"})
SERIES_LIMIT = 200
OTHER = "_OTHER"

_Labels = tuple[str, str, str]
_NAMES = ("http_request_method", "http_response_status_code", "url_scheme")


class _Series:
    """The counts between two bounds each, and the sum of seconds."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0


class Durations:
    """The histogram, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._series: dict[_Labels, _Series] = {}
        self._known: dict[tuple[bytes, int, str], _Series] = {}
        registry.register(cast(Collector, self))  # no subclass: a class that can be compiled has no interpreted base

    def ended(self, method: bytes, status: int, scheme: str, duration_s: float) -> None:
        """Count one request; `status` 0: nothing was sent."""
        series = self._known.get((method, status, scheme)) or self._find(method, status, scheme)
        series.counts[0 if duration_s <= SHORTEST_S else bisect_left(BOUNDS_S, duration_s)] += 1
        series.seconds += duration_s

    def collect(self) -> Iterator[Metric]:
        """Give the metric, for a scrape."""
        metric = HistogramMetricFamily(
            "http_server_request_duration_seconds",
            "Duration of requests at this hop, from the head's arrival to the answer's last byte.",
            labels=_NAMES,
        )
        bounds = [*map(floatToGoString, BOUNDS_S), "+Inf"]
        for labels, series in self._series.items():
            metric.add_metric(labels, list(zip(bounds, accumulate(series.counts), strict=True)), series.seconds)
        yield metric

    def _find(self, method: bytes, status: int, scheme: str) -> _Series:
        is_known = method in METHODS
        labels = (method.decode() if is_known else OTHER, str(status) if status else "", scheme)
        if labels not in self._series and len(self._series) >= SERIES_LIMIT:
            return self._series.setdefault((OTHER, OTHER, scheme), _Series())
        series = self._series.setdefault(labels, _Series())
        if is_known:
            self._known[method, status, scheme] = series
        return series
