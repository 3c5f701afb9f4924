"""What comes out of a run: the numbers that policies are compared by.

A request is cold when it waited for a pod that became ready after it had arrived; it waited when the app began on it
more than a millisecond after its arrival. A pod-second is wasted when nothing was in flight on the pod: while it
started, idled or stopped.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Any

from loadtest.simulate.app import App
from loadtest.simulate.ledger import Ledger
from loadtest.simulate.policies import Chosen
from loadtest.simulate.pricing import Prices
from loadtest.simulate.run import Progress, Scenario, simulate

WAITED_S = 1e-3


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure of many requests, in seconds; all 0 where there were none."""

    mean: float
    p50: float
    p95: float
    p99: float
    worst: float


@dataclass(frozen=True)
class Outcome:
    """One policy's result. `ledger` has what plots need."""

    policy: str
    requests: int
    answered: int
    refused: dict[str, int]
    cold_share: float
    waited_share: float
    wait_s: Spread
    latency_s: Spread
    pod_s: float
    starting_s: float
    busy_s: float
    peak_pods: int
    mean_pods: float
    started_pods: int
    decisions: int
    cost: float
    end_s: float
    ledger: Ledger

    @property
    def wasted_s(self) -> float:
        """Pod-seconds in which nothing was in flight."""
        return max(0.0, self.pod_s - self.busy_s)

    def as_data(self) -> dict[str, Any]:
        """Return the numbers as JSON has them."""
        return {
            "policy": self.policy,
            "requests": self.requests,
            "answered": self.answered,
            "refused": self.refused,
            "cold_share": round(self.cold_share, 6),
            "waited_share": round(self.waited_share, 6),
            "wait_s": _rounded(self.wait_s),
            "latency_s": _rounded(self.latency_s),
            "pod_s": round(self.pod_s, 3),
            "starting_pod_s": round(self.starting_s, 3),
            "busy_pod_s": round(self.busy_s, 3),
            "wasted_pod_s": round(self.wasted_s, 3),
            "peak_pods": self.peak_pods,
            "mean_pods": round(self.mean_pods, 3),
            "started_pods": self.started_pods,
            "decisions": self.decisions,
            "cost": round(self.cost, 6),
            "end_s": round(self.end_s, 3),
        }


def measure(scenario: Scenario, chosen: Chosen, prices: Prices, progress: Progress | None = None) -> Outcome:
    """Run a scenario under a policy and return its outcome; raises like `run.simulate`."""
    ledger, end_s = simulate(scenario, chosen, progress)
    return of(chosen.label, ledger, end_s, scenario.app, prices)


def of(label: str, ledger: Ledger, end_s: float, app: App, prices: Prices) -> Outcome:
    """Return the outcome of what a ledger has counted."""
    answered = max(1, ledger.answered)
    waited = sum(wait_s > WAITED_S for wait_s in ledger.waits_s)
    return Outcome(
        policy=label,
        requests=ledger.arrived,
        answered=ledger.answered,
        refused=dict(sorted(ledger.refused.items())),
        cold_share=ledger.cold / answered,
        waited_share=waited / answered,
        wait_s=spread(ledger.waits_s),
        latency_s=spread(ledger.latencies_s),
        pod_s=ledger.pod_s,
        starting_s=ledger.starting_s,
        busy_s=ledger.busy_s,
        peak_pods=ledger.peak,
        mean_pods=ledger.pod_s / end_s if end_s else 0.0,
        started_pods=ledger.started,
        decisions=ledger.decisions,
        cost=prices.cost(app, ledger.pod_s, ledger.arrived),
        end_s=end_s,
        ledger=ledger,
    )


def spread(values: array[float]) -> Spread:
    """Return mean and nearest-rank percentiles."""
    if not values:
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0)
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(math.fsum(ordered) / len(ordered), at(0.5), at(0.95), at(0.99), ordered[-1])


def _rounded(spread_: Spread) -> dict[str, float]:
    return {name: round(getattr(spread_, name), 6) for name in Spread.__slots__}
