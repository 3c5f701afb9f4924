"""Several policies side by side on one trace: as a table for a person, as one JSON object for a program."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loadtest.figures import Figures
from loadtest.simulate import outcome as outcomes
from loadtest.simulate.outcome import Outcome
from loadtest.simulate.policies import Chosen
from loadtest.simulate.pricing import Prices
from loadtest.simulate.run import Progress, Scenario
from loadtest.simulate.svg import clock_text

PROGRESS_S = 2.0

Column = tuple[str, Callable[[Outcome], str]]

COLUMNS: tuple[Column, ...] = (
    ("policy", lambda one: one.policy),
    ("requests", lambda one: f"{one.requests}"),
    ("refused", lambda one: f"{sum(one.refused.values())}"),
    ("cold", lambda one: f"{one.cold_share:.2%}"),
    ("waited", lambda one: f"{one.waited_share:.2%}"),
    ("wait p50", lambda one: _seconds(one.wait_s.p50)),
    ("p95", lambda one: _seconds(one.wait_s.p95)),
    ("p99", lambda one: _seconds(one.wait_s.p99)),
    ("latency p50", lambda one: _seconds(one.latency_s.p50)),
    ("p95", lambda one: _seconds(one.latency_s.p95)),
    ("p99", lambda one: _seconds(one.latency_s.p99)),
    ("pod-s", lambda one: f"{one.pod_s:.0f}"),
    ("wasted", lambda one: f"{one.wasted_s:.0f}"),
    ("peak", lambda one: f"{one.peak_pods}"),
    ("starts", lambda one: f"{one.started_pods}"),
)


@dataclass
class Comparison:
    """What was compared, and what came out."""

    scenario: Scenario
    prices: Prices
    outcomes: list[Outcome] = field(default_factory=list)
    took_s: float = 0.0

    def figures(self) -> Figures:
        """Return the comparison as every command prints figures; it promises nothing, so it has no bars."""
        return Figures(
            rounds=[one.as_data() for one in self.outcomes], notes=scenario_notes(self.scenario, self.prices)
        )

    def table(self) -> str:
        """Return a table for a person."""
        cost = (f"cost {self.prices.currency}", lambda one: f"{one.cost:.4g}")
        return "\n".join([*_about(self.scenario, self.prices), "", table((*COLUMNS, cost), self.outcomes)])


def compare(scenario: Scenario, chosen: Sequence[Chosen], prices: Prices, *, is_told: bool = False) -> Comparison:
    """Run the policies one after another; `is_told` writes progress to standard error. Raises like `run.simulate`."""
    comparison = Comparison(scenario, prices)
    began = time.perf_counter()
    for policy in chosen:
        progress = teller(policy.label, scenario.trace.duration_s) if is_told else None
        comparison.outcomes.append(outcomes.measure(scenario, policy, prices, progress))
    comparison.took_s = time.perf_counter() - began
    return comparison


def scenario_notes(scenario: Scenario, prices: Prices) -> dict[str, object]:
    """Return what a run depends on, for JSON."""
    app, machinery = scenario.app, scenario.machinery
    return {
        "trace": scenario.trace.name,
        "format": scenario.trace.format,
        "assumptions": list(scenario.trace.notes),
        "app": {
            "name": app.name,
            "annotations": app.annotations,
            "containerConcurrency": app.container_concurrency,
            "timeout_s": app.timeout_s,
            "cpu": app.cpu,
            "memory_gib": app.memory_gib,
            "gpus": app.gpus,
        },
        "pod_start": str(machinery.start),
        "pod_stop_s": machinery.stop_s,
        "cores": machinery.cores,
        "seed": scenario.seed,
        "prices": prices.name,
        "pod_hour": round(prices.pod_hour(app), 6),
        "currency": prices.currency,
    }


def table(columns: Sequence[Column], rows: Sequence[Outcome]) -> str:
    """Return aligned columns; the first to the left, numbers to the right."""
    cells = [[name for name, _ in columns], *([write(row) for _, write in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (zip(line, widths, strict=True) for line in cells)
    )


def teller(label: str, duration_s: float | None) -> Progress:
    """Return a function that says on standard error how far a run is, every few seconds."""
    told = time.monotonic()

    def tell(at_s: float, requests: int) -> None:
        nonlocal told
        if time.monotonic() - told < PROGRESS_S:
            return
        told = time.monotonic()
        whole = f" of {clock_text(duration_s)}" if duration_s else ""
        print(f"{label}: {clock_text(at_s)}{whole}, {requests} requests", file=sys.stderr, flush=True)

    return tell


def _about(scenario: Scenario, prices: Prices) -> list[str]:
    app, machinery = scenario.app, scenario.machinery
    limit = f"containerConcurrency {app.container_concurrency}" if app.container_concurrency else "no concurrency limit"
    lines = [f"{scenario.trace.name} ({scenario.trace.format}) on {app.name}: {limit}, pods start in {machinery.start}"]
    lines += [f"  {note}" for note in scenario.trace.notes]
    lines.append(
        f"  prices: {prices.name}, {prices.pod_hour(app):.4g} {prices.currency} per pod-hour; times in seconds"
    )
    return lines


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"
