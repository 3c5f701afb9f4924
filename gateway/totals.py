"""What several workers say of themselves, as if one process said it: metrics are summed, wakes put in order.

Pure. What a worker counted stays in the totals after its end, so that they never go back; what it held (requests in
flight, connections) goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

HELD = frozenset(
    f"tidegate_gateway_{name}"
    for name in (
        "requests_in_flight",
        "requests_waiting",
        "connections_open",
        "upstream_connections",
        "upstream_connections_idle",
        "spans_queued",
    )
)
"""Summed over the workers that live."""
SHARED = frozenset({"tidegate_gateway_hosts"})
"""The same in every worker: the highest counts."""

_Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Family:
    documentation: str
    type: str
    values: dict[_Key, float] = field(default_factory=dict)


_Families = dict[str, _Family]


class Totals(Collector):
    """The metrics of all workers, those that ended included."""

    def __init__(self) -> None:
        self._ended: _Families = {}
        self._texts: dict[int, str] = {}

    def seen(self, worker: int, text: str) -> None:
        """Take over the metrics page of one worker. Raises ValueError when it is none."""
        list(text_string_to_metric_families(text))
        self._texts[worker] = text

    def gone(self, worker: int) -> None:
        """Keep what a worker that ended had counted when it was last seen."""
        text = self._texts.pop(worker, "")
        _add(self._ended, text, without=HELD | SHARED)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        families = {name: _Family(one.documentation, one.type, dict(one.values)) for name, one in self._ended.items()}
        for text in self._texts.values():
            _add(families, text)
        for name, family in families.items():
            metric = Metric(name, family.documentation, family.type)
            for (sample, labels), value in family.values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def newest(wakes: Iterable[list[dict[str, Any]]], kept: int) -> list[dict[str, Any]]:
    """Return the last `kept` wakes of all workers, newest last."""
    together = [wake for of_worker in wakes for wake in of_worker]
    return sorted(together, key=lambda wake: float(wake["arrived_unix_s"]))[-kept:]


def _add(families: _Families, text: str, without: frozenset[str] = frozenset()) -> None:
    for found in text_string_to_metric_families(text):
        # A time of creation is no amount.
        if found.name in without or found.name.endswith("_created"):
            continue
        values = families.setdefault(found.name, _Family(found.documentation, found.type)).values
        for sample in found.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            before = values.get(key, 0.0)
            values[key] = max(before, sample.value) if found.name in SHARED else before + sample.value
