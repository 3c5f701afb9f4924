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

    def keeps(self, one: Outcome) -> bool:
        """Whether a try keeps the limit, and refuses nobody."""
        return one.wait_s.p99 <= self.limit_s and not one.refused

    def rank(self, one: Outcome) -> tuple[float, ...]:
        """Return the order of preference, the best lowest: cheap among those that keep the limit, then little wait."""
        if self.keeps(one):
            return (0, one.cost, one.wait_s.p99)
        return (1, sum(one.refused.values()), one.wait_s.p99, one.cost)

    @property
    def best(self) -> tuple[dict[str, str], Outcome]:
        """The cheapest try within the limit, or else the one that waits least."""
        return min(self.tries, key=lambda entry: self.rank(entry[1]))

    @property
    def is_kept(self) -> bool:
        """Whether the best try keeps the limit."""
        return self.keeps(self.best[1])

    def figures(self) -> Figures:
        """Return the tries as JSON has them; the notes have the recommendation."""
        notes = compare.scenario_notes(self.scenario, self.prices)
        notes |= {"recommended": self.best[0], "wait_p99_limit_s": self.limit_s, "is_limit_kept": self.is_kept}
        return Figures(rounds=[{"annotations": tried, **one.as_data()} for tried, one in self.tries], notes=notes)

    def text(self, shown: int | None = None) -> str:
        """Return the table and the recommendation as YAML; `shown`: only the first try and so many of the best."""
        rows = [one for _, one in self.tries]
        if shown is not None:
            rows = rows[:1] + sorted(rows[1:], key=self.rank)[:shown]
        cost = (f"cost {self.prices.currency}", lambda one: f"{one.cost:.4g}")
        tried, best = self.best
        verdict = "the cheapest" if self.is_kept else "none keeps the limit; the least wait"
        lines = [
            compare.table((*COLUMNS, cost), rows),
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
    found = Sweep(scenario, prices, limit_s, [])
    tries = [dict(zip((axis.name for axis in axes), values, strict=True)) for values in combinations]
    for tried in tries:
        _app(scenario.app, tried)  # a value that the API would refuse is told before the first hour is simulated
    for tried in tries:
        try_out(found, tried, len(combinations))
    return found


def try_out(found: Sweep, tried: dict[str, str], of: int = 0) -> Outcome:
    """Simulate the scenario with some annotations and add the outcome to the tries."""
    label = " ".join(f"{name.removeprefix(OWN)}={value}" for name, value in tried.items()) or "as it is"
    chosen = replace(policies.parse(policies.OURS), label=label)
    app = _app(found.scenario.app, tried)
    one = outcome.measure(replace(found.scenario, app=app), chosen, found.prices)
    found.tries.append((tried, one))
    number = f"{len(found.tries)}/{of}" if of else f"{len(found.tries)}"
    print(f"[{number}] {label}: p99 wait {one.wait_s.p99:.3f} s, cost {one.cost:.4g}", file=sys.stderr, flush=True)
    return one


def _app(app: App, tried: dict[str, str]) -> App:
    for name, value in tried.items():
        app = Axis(name, (value,)).apply(app, value)
    return app


def _key(name: str) -> str:
    return name if "/" in name or name == CONCURRENCY else names.AUTOSCALING + name
