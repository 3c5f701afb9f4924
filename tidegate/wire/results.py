"""Counts finished requests by status class and reason, for Prometheus: one set of labels for all three hops.

Labels are bounded: reasons come from the closed list of contracts.outcomes or are the engine's `Failure`s, statuses are
classes. Probes are never handed in. Revisions are not labels: who wants them asks the autoscaler or the pods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.wire.director import Answer, Outcome, Relay
from tidegate.wire.durations import Durations

WAITS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Results:
    """`<prefix>_requests_total` and `http_server_request_duration_seconds` in a registry.

    Counts are plain numbers of the event loop's thread, turned into metrics when scraped: the client library's own
    counters take a lock each and cost three times as much per request (`python -m bench.directors`).
    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._prefix = prefix
        self._relayed = [0] * 10  # answers of apps that ended well, by status class
        self._counts: Counter[tuple[int, str]] = Counter()
        self._durations = Durations(registry)
        registry.register(cast(Collector, self))  # no subclass: a class that can be compiled has no interpreted base

    def ended(self, outcome: Outcome, method: bytes, scheme: str = "http") -> None:
        """Count one request."""
        if outcome.failure is None and type(outcome.direction) is Relay:
            self._relayed[outcome.status // 100] += 1
        else:
            self._counts[outcome.status // 100, reason_of(outcome)] += 1
        self._durations.ended(method, outcome.status, scheme, outcome.duration_s)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        requests = CounterMetricFamily(
            f"{self._prefix}_requests",
            "Requests that ended, by status class and by the reason when Tidegate answered itself.",
            labels=("code_class", "reason"),
        )
        relayed = {(status_class, ""): count for status_class, count in enumerate(self._relayed) if count}
        for (status_class, reason), count in (self._counts + Counter(relayed)).items():
            requests.add_metric((f"{status_class}xx" if status_class else "none", reason), count)
        yield requests


def reason_of(outcome: Outcome) -> str:
    """Return why Tidegate answered itself or what failed; empty for an answer of the app that ended well."""
    if outcome.failure is not None:
        return outcome.failure.value
    return outcome.direction.reason if isinstance(outcome.direction, Answer) else ""
