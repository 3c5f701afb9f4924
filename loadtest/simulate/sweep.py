"""Annotations tried out on a trace: every combination of some values, a table, a picture, and which one to take.

The recommendation is the cheapest try that keeps the limit on the 99th percentile of the wait; where none does, the one
that waits least.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtest.figures import Figures
from loadtest.simulate import compare, outcome, policies
from loadtest.simulate.app import App
from loadtest.simulate.outcome import Outcome
from loadtest.simulate.pricing import Prices
from loadtest.simulate.run import Scenario
from tidegate.contracts import names

TRIES_MAX = 500
CONCURRENCY = "containerConcurrency"
OWN = "tidegate.dev/"

COLUMNS: tuple[compare.Column, ...] = (
    ("annotations", lambda one: one.policy),
    *(column for column in compare.COLUMNS[1:] if column[0] not in ("requests", "latency p50")),
)


@dataclass(frozen=True)
class Axis:
    """One annotation (or containerConcurrency) and the values to try."""

    name: str
    values: tuple[str, ...]

    def apply(self, app: App, value: str) -> App:
        """Return the app with a value; raises AppError for one that the API would refuse."""
        if self.name == CONCURRENCY:
            return replace(app, container_concurrency=int(value))
        key = self.name if "/" in self.name else names.AUTOSCALING + self.name
        return app.annotated({key: value})


@dataclass(frozen=True)
class Sweep:
    """All tries, in the order tried, and the one to take."""

    scenario: Scenario
    prices: Prices
    limit_s: float
    tries: list[tuple[dict[str, str], Outcome]]

    @property
    def best(self) -> tuple[dict[str, str], Outcome]:
        """The cheapest try within the limit, or else the one that waits least."""
        good = [entry for entry in self.tries if entry[1].wait_s.p99 <= self.limit_s and not entry[1].refused]
        if good:
            return min(good, key=lambda entry: (entry[1].cost, entry[1].wait_s.p99))
        return min(self.tries, key=lambda entry: (sum(entry[1].refused.values()), entry[1].wait_s.p99, entry[1].cost))

    @property
    def is_kept(self) -> bool:
        """Whether the best try keeps the limit."""
        best = self.best[1]
        return best.wait_s.p99 <= self.limit_s and not best.refused

    def figures(self) -> Figures:
        """Return the tries as JSON has them; the notes have the recommendation."""
        notes = compare.scenario_notes(self.scenario, self.prices)
        notes |= {"recommended": self.best[0], "wait_p99_limit_s": self.limit_s, "is_limit_kept": self.is_kept}
        return Figures(rounds=[{"annotations": tried, **one.as_data()} for tried, one in self.tries], notes=notes)

    def text(self) -> str:
        """Return the table and the recommendation as YAML."""
        cost = (f"cost {self.prices.currency}", lambda one: f"{one.cost:.4g}")
        tried, best = self.best
        verdict = "the cheapest" if self.is_kept else "none keeps the limit; the least wait"
        lines = [
            compare.table((*COLUMNS, cost), [one for _, one in self.tries]),
            "",
            f"{verdict} with a p99 wait of at most {self.limit_s:g} s: {best.policy}",
            *(f"  {_key(name)}: {value!r}".replace("'", '"') for name, value in tried.items()),
        ]
        return "\n".join(lines)


def parse(text: str) -> Axis:
    """Return the axis in `name=value,value,...`; raises ValueError."""
    name, equals, values = text.partition("=")
    found = tuple(value.strip() for value in values.split(",") if value.strip())
    if not equals or not name.strip() or not found:
        raise ValueError(f"{text!r}: write --sweep target=10,50,100")
    if name == CONCURRENCY and not all(value.isdigit() for value in found):
        raise ValueError(f"{text!r}: {CONCURRENCY} takes whole numbers")
    return Axis(name.strip(), found)


def run(scenario: Scenario, axes: Sequence[Axis], prices: Prices, limit_s: float) -> Sweep:
    """Try every combination; raises ValueError for too many, AppError for a value that the API would refuse."""
    combinations = list(itertools.product(*(axis.values for axis in axes)))
    if len(combinations) > TRIES_MAX:
        raise ValueError(f"{len(combinations)} combinations: at most {TRIES_MAX}")
    apps = [_app(scenario.app, axes, values) for values in combinations]
    tries = []
    for number, (values, app) in enumerate(zip(combinations, apps, strict=True), 1):
        tried = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        label = " ".join(f"{name.removeprefix(OWN)}={value}" for name, value in tried.items())
        chosen = replace(policies.parse(policies.OURS), label=label)
        tries.append((tried, outcome.measure(replace(scenario, app=app), chosen, prices)))
        print(f"[{number}/{len(combinations)}] {label}", file=sys.stderr, flush=True)
    return Sweep(scenario, prices, limit_s, tries)


def _app(app: App, axes: Sequence[Axis], values: Sequence[str]) -> App:
    for axis, value in zip(axes, values, strict=True):
        app = axis.apply(app, value)
    return app


def _key(name: str) -> str:
    return name if "/" in name or name == CONCURRENCY else names.AUTOSCALING + name
