"""What the engine counts, for Prometheus: connections, bytes, own answers by reason, floods, retries, the pool.

Every field of `server.Counters` is shown, so a new one needs no line here: a number is a counter, a table is a counter
with one label. Labels are bounded, for their values are reason codes and kinds of frames, never a client's words.
Values are read when scraped and cost a request nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from tidegate.wire.pool import Pool
    from tidegate.wire.server import Counters

HELD = frozenset({"connections_open"})
"""Fields that go down again: gauges."""
NAMES = {"requests": "request_heads", "answers": "own_answers"}
LABELS = {"answers": "reason", "floods": "kind"}
OTHER_LABEL = "kind"
MEANINGS = {
    "requests": "Request heads that were read.",
    "connections": "Connections that were accepted.",
    "connections_refused": "Connections that found too many open already.",
    "connections_open": "Connections of clients.",
    "bytes_in": "Bytes received from clients.",
    "bytes_out": "Bytes sent to clients.",
    "retries": "Attempts that were made again, because not one byte of the request was taken.",
    "clients_stalled": "Connections that were reset because their client took nothing of its answer.",
    "tunnels": "Upgraded connections that were opened.",
    "h2_connections": "Connections that turned out to speak HTTP/2.",
    "answers": "Answers that Tidegate made itself, by reason (empty: to probes).",
    "floods": "HTTP/2 connections that were ended for sending too much of one kind.",
}


class EngineMetrics(Collector):
    """The counters of several servers together, and of the pool they share, as `<prefix>_...`."""

    def __init__(
        self,
        prefix: str,
        registry: CollectorRegistry,
        counters: Callable[[], Iterable[Counters]],
        pool: Pool,
        tls_counters: Callable[[], Iterable[Counters]] = tuple,
    ) -> None:
        """`tls_counters`: those of `counters` that belong to ports on which TLS is spoken."""
        self._prefix = prefix
        self._counters = counters
        self._tls_counters = tls_counters
        self._pool = pool
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        all_counters = list(self._counters())
        for field in dataclasses.fields(all_counters[0]) if all_counters else ():
            yield self._family(field.name, [getattr(counters, field.name) for counters in all_counters])
        yield CounterMetricFamily(
            f"{self._prefix}_tls_request_heads",
            "Request heads that were read on ports that speak TLS.",
            sum(counters.requests for counters in self._tls_counters()),
        )
        yield from self._pool_families()

    def _family(self, name: str, values: list[int] | list[dict[str, int]]) -> Metric:
        shown, meaning = f"{self._prefix}_{NAMES.get(name, name)}", MEANINGS.get(name, name.replace("_", " "))
        if name in HELD:
            return GaugeMetricFamily(shown, meaning, sum(value for value in values if isinstance(value, int)))
        if not isinstance(values[0], dict):
            return CounterMetricFamily(shown, meaning, sum(value for value in values if isinstance(value, int)))
        family = CounterMetricFamily(shown, meaning, labels=(LABELS.get(name, OTHER_LABEL),))
        together: dict[str, int] = {}
        for table in values:
            for key, count in table.items() if isinstance(table, dict) else ():
                together[key] = together.get(key, 0) + count
        for key, count in together.items():
            family.add_metric((key,), count)
        return family

    def _pool_families(self) -> Iterator[Metric]:
        prefix, pool = self._prefix, self._pool
        yield GaugeMetricFamily(f"{prefix}_upstream_connections", "Connections to upstreams.", pool.open_count)
        yield GaugeMetricFamily(
            f"{prefix}_upstream_connections_idle", "Connections to upstreams that wait for a request.", pool.idle_count
        )
        connects = CounterMetricFamily(
            f"{prefix}_upstream_connects", "Connections to upstreams that were begun.", labels=("protocol",)
        )
        connects.add_metric(("http1",), pool.connects)
        connects.add_metric(("h2c",), pool.streams.connects)
        connects.add_metric(("http1_tls",), pool.tls_connects)
        connects.add_metric(("h2_tls",), pool.streams.tls_connects)
        yield connects
        yield CounterMetricFamily(
            f"{prefix}_upstream_certificates_refused",
            "Connections to upstreams that were given up because the certificate was not trusted or not for its name.",
            pool.certificates_refused,
        )
        yield CounterMetricFamily(
            f"{prefix}_upstream_reuses", "Requests that went over a kept connection.", pool.reuses
        )
