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
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import CONCURRENCY, RPS
from tidegate.contracts.decision import Because

_LABELS = ("k8s_namespace_name", "kn_revision_name")
ASLEEP_SHOWN = 1000
"""Revisions without a slot that are shown one by one: their objects are read for it."""


def _of(fleet: Fleet, column: str, slot: int | None) -> float:
    return 0.0 if slot is None else float(fleet.state.columns[column][slot])


def _is_panicking(fleet: Fleet, slot: int | None, _spec: ScalingSpec) -> bool:
    return slot is not None and bool(int(fleet.state.columns["flags"][slot]) & PANICKING)


def _excess(fleet: Fleet, slot: int | None, spec: ScalingSpec) -> float:
    value = NOTHING if slot is None else int(fleet.state.columns["excess_burst_capacity"][slot])
    return float(value if value != NOTHING else excess_burst_capacity(spec, spec.initial_scale, 0.0))


_GAUGES: dict[str, tuple[str, Callable[[Fleet, int | None, ScalingSpec], float]]] = {
    "kn_revision_pods_desired": (
        "Pods the autoscaler wants; -1: no opinion",
        lambda fleet, at, _spec: _of(fleet, "desired", at),
    ),
    "kn_revision_pods_requested": (
        "Replicas asked of the Deployment",
        lambda fleet, at, _spec: _of(fleet, "current_scale", at),
    ),
    "kn_revision_pods_count": ("Ready pods", lambda fleet, at, _spec: _of(fleet, "ready_pods", at)),
    "kn_revision_pods_not_ready_count": (
        "Pods that are not ready, pending ones included",
        lambda fleet, at, _spec: _of(fleet, "not_ready_pods", at),
    ),
    "kn_revision_capacity_excess": ("Excess burst capacity, requests", _excess),
    "kn_revision_panic_mode": ("1 while panicking", _is_panicking),
}
Asleep = Callable[[int], Iterable[tuple[Key, ScalingSpec]]]
Shown = list[tuple[Key, int | None, ScalingSpec]]
"""Revisions with their slot (None: asleep) and spec."""
Counts = Callable[[], Mapping[str, int]]


class Metrics(Collector):
    """Collects from `demand` and its fleet, of `slots` at most `limit` revisions. `count` and `show` add the rest.

    `asleep` gives so many revisions that have no slot: their numbers are zeros.
    """

    def __init__(
        self,
        demand: Demand,
        slots: Mapping[Key, int],
        reasons: Mapping[Because, int],
        clock: Callable[[], float],
        limit: int,
        asleep: Asleep = lambda _limit: (),
    ) -> None:
        self.registry = CollectorRegistry()
        self._demand = demand
        self._slots = slots
        self._reasons = reasons
        self._clock = clock
        self._limit = limit
        self._asleep = asleep
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
            yield _gauge(name, meaning, ((key, float(read(fleet, slot, spec))) for key, slot, spec in shown))
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

    def _shown(self) -> Shown:
        """Return the revisions that are shown one by one: those with windows, then others, up to the limit."""
        pairs, fleet = list(self._slots.items()), self._demand.fleet
        if len(pairs) > self._limit:
            # Those with windows first; the order is otherwise kept.
            pairs.sort(key=lambda pair: not fleet.windows.is_open(pair[1]))
        shown: Shown = [(key, slot, fleet.spec(slot)) for key, slot in pairs[: self._limit]]
        more = min(ASLEEP_SHOWN, self._limit - len(shown))
        return shown + [(key, None, spec) for key, spec in self._asleep(more)]

    def _loads(self, shown: Shown) -> Iterable[Metric]:
        for metric in (CONCURRENCY, RPS):
            of_metric = [one for one in shown if one[2].metric == metric]
            values = [self._averages(slot, metric) for _key, slot, _spec in of_metric]
            for index, (part, meaning) in enumerate((("stable", "stable window"), ("panic", "panic window"))):
                samples = ((one[0], pair[index]) for one, pair in zip(of_metric, values, strict=True))
                yield _gauge(f"kn_revision_{metric}_{part}", f"Load averaged over the {meaning} ({metric})", samples)
            targets = ((key, spec.target) for key, _slot, spec in of_metric)
            yield _gauge(f"kn_revision_{metric}_target", f"Load to aim at per pod ({metric})", targets)

    def _averages(self, slot: int | None, metric: str) -> tuple[float, float]:
        if slot is None:
            return 0.0, 0.0
        return self._demand.fleet.windows.averages_of(slot, metric, self._demand.as_of(self._clock())) or (0.0, 0.0)

    def _sums(self, shown: int) -> Iterable[Metric]:
        columns = self._demand.fleet.state.columns
        watched = self._demand.fleet.state.spec_row >= 0
        pods = GaugeMetricFamily("tidegate_autoscaler_pods", "Pods of all revisions together", labels=["state"])
        for state, name in (("ready", "ready_pods"), ("not_ready", "not_ready_pods"), ("requested", "current_scale")):
            pods.add_metric([state], float(np.sum(columns[name][watched], dtype=np.int64)))
        yield pods
        revisions = GaugeMetricFamily("tidegate_autoscaler_revisions", "Revisions", labels=["state"])
        revisions.add_metric(["awake"], len(self._slots))
        revisions.add_metric(["shown"], shown)
        yield revisions


def _gauge(name: str, meaning: str, samples: Iterable[tuple[Key, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=_LABELS)
    for key, value in samples:
        family.add_metric(key, value)
    return family
