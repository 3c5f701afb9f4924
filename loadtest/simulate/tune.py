"""`--tune`: looks for the annotations that serve a trace cheapest within the limit on the wait, by itself.

From the app as it is, one annotation after another gets the value that does best while the others stay, until a whole
round changes nothing. That finds a good place, not always the best one; `--sweep` tries every combination.
"""

from __future__ import annotations

from loadtest.simulate import sweep
from loadtest.simulate.app import App
from loadtest.simulate.outcome import Outcome
from loadtest.simulate.pricing import Prices
from loadtest.simulate.run import Scenario
from loadtest.simulate.sweep import Axis, Sweep

ROUNDS_MAX = 4
TARGET_SHARES = (0.25, 0.5, 0.75, 1.0)

Tried = tuple[tuple[str, str], ...]


def axes_for(app: App) -> list[Axis]:
    """Return what is tried for an app: targets within its slots, delays, minima; windows last."""
    targets = sorted({max(1, round(app.slots * share)) for share in TARGET_SHARES})
    return [
        Axis("target", tuple(str(target) for target in targets)),
        Axis(sweep.OWN + "last-pod-delay", ("0s", "300s", "900s")),
        Axis("scale-down-delay", ("0s", "60s", "300s")),
        Axis("min-scale", ("0", "1", "2", "3", "5")),
        Axis("window", ("30s", "60s", "120s", "300s")),
    ]


def run(scenario: Scenario, prices: Prices, limit_s: float) -> Sweep:
    """Return all tries; the best is where the search ended."""
    search = _Search(scenario, prices, limit_s)
    chosen: dict[str, str] = {}
    search.at(chosen)
    for _ in range(ROUNDS_MAX):
        before = dict(chosen)
        for axis in axes_for(scenario.app):
            chosen = search.along(axis, chosen)
        if chosen == before:
            break
    return search.found


class _Search:
    """The tries so far, none made twice."""

    def __init__(self, scenario: Scenario, prices: Prices, limit_s: float) -> None:
        self.found = Sweep(scenario, prices, limit_s, [])
        self._known: dict[Tried, Outcome] = {}

    def at(self, chosen: dict[str, str]) -> Outcome:
        key = tuple(sorted(chosen.items()))
        if key not in self._known:
            self._known[key] = sweep.try_out(self.found, chosen)
        return self._known[key]

    def along(self, axis: Axis, chosen: dict[str, str]) -> dict[str, str]:
        """Return the best of `chosen` and of `chosen` with each value of an axis."""
        candidates = [chosen, *({**chosen, axis.name: value} for value in axis.values)]
        return min(candidates, key=lambda candidate: self.found.rank(self.at(candidate)))
