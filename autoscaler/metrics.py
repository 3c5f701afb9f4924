"""Prometheus metrics, read from the latest decisions when somebody asks: a decision itself costs nothing here.

Names are Knative's with dots as underscores; what is Tidegate's own begins with `tidegate_autoscaler_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.contracts.decision import Because, Decision

_LABELS = ("k8s_namespace_name", "kn_revision_name")

_GAUGES: dict[str, tuple[str, Callable[[Decision], float]]] = {
    "kn_revision_pods_desired": ("Pods the autoscaler wants; -1: no opinion", lambda one: one.desired),
    "kn_revision_pods_requested": ("Replicas asked of the Deployment", lambda one: one.current_scale),
    "kn_revision_pods_count": ("Ready pods", lambda one: one.ready_pods),
    "kn_revision_pods_not_ready_count": (
        "Pods that are not ready, pending ones included",
        lambda one: one.not_ready_pods,
    ),
    "kn_revision_capacity_excess": ("Excess burst capacity, requests", lambda one: one.excess_burst_capacity),
    "kn_revision_panic_mode": ("1 while panicking", lambda one: one.is_panicking),
}
_LOADS: dict[str, tuple[str, Callable[[Decision], float]]] = {
    "stable": ("Load averaged over the stable window", lambda one: one.stable_value),
    "panic": ("Load averaged over the panic window", lambda one: one.panic_value),
    "target": ("Load to aim at per pod", lambda one: one.target),
}


class Metrics(Collector):
    """Collects from `latest`, the newest decision of every revision; counts of reasons and reports beside it."""

    def __init__(
        self,
        latest: Callable[[], Iterable[Decision]],
        reasons: Mapping[Because, int],
        reports: Callable[[], Mapping[str, int]],
        failures: Callable[[], int],
    ) -> None:
        self.registry = CollectorRegistry()
        self._latest = latest
        self._reasons = reasons
        self._reports = reports
        self._failures = failures
        self.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics as of now."""
        decisions = list(self._latest())
        for name, (meaning, read) in _GAUGES.items():
            yield _gauge(name, meaning, read, decisions)
        for metric in ("concurrency", "rps"):
            of_metric = [decision for decision in decisions if decision.metric == metric]
            for part, (meaning, read) in _LOADS.items():
                yield _gauge(f"kn_revision_{metric}_{part}", f"{meaning} ({metric})", read, of_metric)
        reasons = CounterMetricFamily("tidegate_autoscaler_decisions", "Decisions by reason", labels=["reason"])
        for because, count in sorted(self._reasons.items()):
            reasons.add_metric([because], count)
        yield reasons
        reports = CounterMetricFamily(
            "tidegate_autoscaler_reports", "Reports by what became of them", labels=["outcome"]
        )
        for outcome, count in sorted(self._reports().items()):
            reports.add_metric([outcome], count)
        yield reports
        failures = CounterMetricFamily("tidegate_autoscaler_failed_writes", "Writes the API server did not take")
        failures.add_metric([], self._failures())
        yield failures


def _gauge(
    name: str, meaning: str, read: Callable[[Decision], float], decisions: Iterable[Decision]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=_LABELS)
    for decision in decisions:
        family.add_metric([decision.namespace, decision.revision], float(read(decision)))
    return family
