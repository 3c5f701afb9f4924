"""Prometheus metrics, read from the fleet's columns when somebody asks: a decision itself costs nothing here.

Names are Knative's with dots as underscores; what is Tidegate's own begins with `tidegate_autoscaler_`. Series of
single revisions are bounded: those that are awake come first, and what is left out is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autoscaler.demand import Demand, Key
from autoscaler.fleet import PANICKING, Fleet
from autoscaler.fleet_state import NOTHING
from autoscaler.load import excess_burst_capacity
from tidegate.contracts.autoscaling_annotations import CONCURRENCY, RPS
from tidegate.contracts.decision import Because

_LABELS = ("k8s_namespace_name", "kn_revision_name")


def _of(fleet: Fleet, column: str, slot: int) -> float:
    return float(fleet.state.columns[column][slot])


def _flags(fleet: Fleet, slot: int) -> int:
    return int(fleet.state.columns["flags"][slot])


def _excess(fleet: Fleet, slot: int) -> float:
    value = int(fleet.state.columns["excess_burst_capacity"][slot])
    if value != NOTHING:
        return float(value)
    spec = fleet.spec(slot)
    return float(excess_burst_capacity(spec, spec.initial_scale, 0.0))


_GAUGES: dict[str, tuple[str, Callable[[Fleet, int], float]]] = {
    "kn_revision_pods_desired": (
        "Pods the autoscaler wants; -1: no opinion",
        lambda fleet, at: _of(fleet, "desired", at),
    ),
    "kn_revision_pods_requested": (
        "Replicas asked of the Deployment",
        lambda fleet, at: _of(fleet, "current_scale", at),
    ),
    "kn_revision_pods_count": ("Ready pods", lambda fleet, at: _of(fleet, "ready_pods", at)),
    "kn_revision_pods_not_ready_count": (
        "Pods that are not ready, pending ones included",
        lambda fleet, at: _of(fleet, "not_ready_pods", at),
    ),
    "kn_revision_capacity_excess": ("Excess burst capacity, requests", _excess),
    "kn_revision_panic_mode": ("1 while panicking", lambda fleet, at: bool(_flags(fleet, at) & PANICKING)),
}
Counts = Callable[[], Mapping[str, int]]


class Metrics(Collector):
    """Collects from `demand` and its fleet, of `slots` at most `limit` revisions. `count` and `show` add the rest."""

    def __init__(
        self,
        demand: Demand,
        slots: Mapping[Key, int],
        reasons: Mapping[Because, int],
        clock: Callable[[], float],
        limit: int,
    ) -> None:
        self.registry = CollectorRegistry()
        self._demand = demand
        self._slots = slots
        self._reasons = reasons
        self._clock = clock
        self._limit = limit
        self._counters: list[tuple[str, str, str, Counts]] = []
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self.registry.register(self)

    def count(self, name: str, meaning: str, label: str, read: Counts) -> None:
        """Show a counter with one label."""
        self._counters.append((f"tidegate_autoscaler_{name}", meaning, label, read))

    def show(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a single number."""
        self._gauges.append((f"tidegate_autoscaler_{name}", meaning, read))

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics as of now."""
        fleet = self._demand.fleet
        shown = self._shown()
        for name, (meaning, read) in _GAUGES.items():
            yield _gauge(name, meaning, ((key, float(read(fleet, slot))) for key, slot in shown))
        yield from self._loads(shown)
        yield from self._sums(len(shown))
        reasons = CounterMetricFamily("tidegate_autoscaler_decisions", "Decisions by reason", labels=["reason"])
        for because, count in sorted(self._reasons.items()):
            reasons.add_metric([because], count)
        yield reasons
        for name, meaning, label, counts in self._counters:
            family = CounterMetricFamily(name, meaning, labels=[label])
            for value, count in sorted(counts().items()):
                family.add_metric([value], count)
            yield family
        for name, meaning, number in self._gauges:
            yield GaugeMetricFamily(name, meaning, value=number())

    def _shown(self) -> list[tuple[Key, int]]:
        """Return the revisions that are shown one by one: those with windows, then others, up to the limit."""
        pairs = list(self._slots.items())
        if len(pairs) <= self._limit:
            return pairs
        is_open = self._demand.fleet.windows.is_open
        awake = [pair for pair in pairs if is_open(pair[1])]
        asleep = (pair for pair in pairs if not is_open(pair[1]))
        return (awake + [pair for pair, _ in zip(asleep, range(self._limit), strict=False)])[: self._limit]

    def _loads(self, shown: list[tuple[Key, int]]) -> Iterable[Metric]:
        fleet, at = self._demand.fleet, self._demand.as_of(self._clock())
        for metric in (CONCURRENCY, RPS):
            of_metric = [(key, slot) for key, slot in shown if fleet.spec(slot).metric == metric]
            values = [fleet.windows.averages_of(slot, metric, at) or (0.0, 0.0) for _, slot in of_metric]
            for index, (part, meaning) in enumerate((("stable", "stable window"), ("panic", "panic window"))):
                samples = ((key, pair[index]) for (key, _), pair in zip(of_metric, values, strict=True))
                yield _gauge(f"kn_revision_{metric}_{part}", f"Load averaged over the {meaning} ({metric})", samples)
            targets = ((key, fleet.spec(slot).target) for key, slot in of_metric)
            yield _gauge(f"kn_revision_{metric}_target", f"Load to aim at per pod ({metric})", targets)

    def _sums(self, shown: int) -> Iterable[Metric]:
        columns = self._demand.fleet.state.columns
        watched = self._demand.fleet.state.spec_row >= 0
        pods = GaugeMetricFamily("tidegate_autoscaler_pods", "Pods of all revisions together", labels=["state"])
        for state, name in (("ready", "ready_pods"), ("not_ready", "not_ready_pods"), ("requested", "current_scale")):
            pods.add_metric([state], float(np.sum(columns[name][watched], dtype=np.int64)))
        yield pods
        revisions = GaugeMetricFamily("tidegate_autoscaler_revisions", "Revisions", labels=["state"])
        revisions.add_metric(["here"], len(self._slots))
        revisions.add_metric(["shown"], shown)
        yield revisions


def _gauge(name: str, meaning: str, samples: Iterable[tuple[Key, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=_LABELS)
    for key, value in samples:
        family.add_metric(key, value)
    return family
