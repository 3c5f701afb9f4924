"""`--fleet N`: N revisions at once through the autoscaler's fleet form, with simulated pods; what a tick costs.

Each second records load, every two a turn decides everybody who is awake, and requests that find no pod poke their
revision's turn at once, as in production. A sample of each turn is decided by the scalar form too: the two must agree.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autoscaler import state
from autoscaler.decide import decide
from autoscaler.fleet import Fleet
from loadtest.distributions import Distribution, generator
from loadtest.figures import Bar, Figures, percentile
from loadtest.simulate.app import App
from loadtest.simulate.fleet_load import Flags, FleetLoad, Second
from loadtest.simulate.policies import OURS, parse
from tidegate.contracts.decision import Activity, Decision, ServingMode

REVISIONS_MAX = 1_000_000
SAMPLE = 20
"""Revisions of a turn that the scalar form decides too."""
TURN_LIMIT_US = 1.0
TURN_LIMIT_FROM = 100_000
"""The limit is stated for a large fleet; what a turn costs at all is shared by few in a small one."""
COLD_STARTS_MIN = 2500.0
TOLD_EVERY_S = 10


@dataclass
class FleetCounts:
    """What came of it; `turn_s` and `poke_s` are real seconds, all else is simulated and repeatable."""

    seconds: int = 0
    requests: float = 0.0
    cold_starts: int = 0
    pods_started: int = 0
    pods_peak: int = 0
    decided: int = 0
    compared: int = 0
    differed: int = 0
    turn_s: list[float] = field(default_factory=list)
    awake: list[int] = field(default_factory=list)
    poke_s: list[float] = field(default_factory=list)

    @property
    def turn_us(self) -> list[float]:
        """Microseconds per revision that was awake, for each turn; recording two seconds included."""
        return [1e6 * took_s / awake for took_s, awake in zip(self.turn_s, self.awake, strict=True) if awake]


class FleetRun:
    """The revisions, their pods and the autoscaler that minds them."""

    def __init__(self, revisions: int, app: App, start: Distribution, seed: int) -> None:
        if not 1 <= revisions <= REVISIONS_MAX:
            raise ValueError(f"--fleet {revisions}: at least 1 and at most {REVISIONS_MAX} revisions")
        self.counts = FleetCounts()
        self.rounds: list[dict[str, int]] = []
        self._spec = parse(OURS).spec_of(app)
        self._load = FleetLoad(revisions, seed)
        self._starts = generator(seed, "fleet", "starts")
        self._start = start
        self._sample = np.random.default_rng(seed + 1)
        self._fleet = Fleet()
        self._ready = np.zeros(revisions, np.int64)
        self._scale = np.zeros(revisions, np.int64)
        self._coming: defaultdict[int, list[int]] = defaultdict(list)  # slots by the second their pod is ready
        at_zero = state.Memory(
            began_at=-3600.0,
            wanted=0,
            activity=Activity.INACTIVE,
            activity_since=-3600.0,
            is_initialized=True,
            serving_mode=ServingMode.PROXY,
            proxy_since=-3600.0,
        )
        for slot in range(revisions):
            self._fleet.add(slot, self._spec, at_zero)

    def run(self, seconds: int) -> None:
        """Let time pass."""
        took_s = 0.0
        for second in range(1, seconds + 1):
            self._pods_come(second)
            load = self._load.step(self._ready > 0)
            said = (self._ready > 0) | (load.waiting > 0)
            began = time.perf_counter()
            self._fleet.record(second, load.concurrency, load.arrivals, said)
            took_s += time.perf_counter() - began
            self._poke(second, load)
            if second % 2 == 0:
                self._turn(second, load, ~said, took_s)
                took_s = 0.0
            self._note(second, load)

    def _pods_come(self, second: int) -> None:
        for slot in self._coming.pop(second, ()):
            if self._ready[slot] < self._scale[slot]:
                self._ready[slot] += 1
                self._see(slot)

    def _poke(self, second: int, load: Second) -> None:
        """Those who began to wait and have no pod on its way get their turn at once."""
        for slot in np.flatnonzero((load.waiting > 0) & (self._scale == 0)).tolist():
            began = time.perf_counter()
            waiting = int(load.waiting[slot])
            decision = self._fleet.decide_one(slot, second + 0.5, second, waiting, is_poked=True)
            self.counts.poke_s.append(time.perf_counter() - began)
            self.counts.cold_starts += 1
            self._apply(slot, decision, second)

    def _turn(self, second: int, load: Second, is_silent: Flags, took_s: float) -> None:
        now, waiting = second + 0.5, load.waiting.astype(np.int64)
        expected = self._scalar(now, second, waiting, is_silent)
        began = time.perf_counter()
        awake, news = 0, []
        for turn in self._fleet.turn(now, second, waiting, is_silent):
            awake += len(turn.slots)
            news += [(int(turn.slots[row]), turn.decision(row)) for row in turn.news.tolist()]
        self.counts.turn_s.append(took_s + time.perf_counter() - began)
        self.counts.awake.append(awake)
        self.counts.decided += awake
        self._compare(expected)
        for slot, decision in news:
            self._apply(slot, decision, second)

    def _scalar(self, now: float, second: int, waiting: np.ndarray, is_silent: Flags) -> dict[int, state.Memory]:
        """Return what the scalar form makes of a sample of those who are awake."""
        awake = self._fleet.awake(is_silent)
        found = {}
        for slot in self._sample.choice(awake, min(SAMPLE, len(awake)), replace=False).tolist() if len(awake) else ():
            values = self._fleet.windows.averages_of(slot, self._spec.metric, second) or (None, None)
            seen = self._fleet.state.observation(
                slot, stable_value=values[0], panic_value=values[1], waiting=int(waiting[slot])
            )
            found[slot] = decide(self._spec, seen, self._fleet.memory(slot), now)[1]
        return found

    def _compare(self, expected: dict[int, state.Memory]) -> None:
        for slot, memory in expected.items():
            self.counts.compared += 1
            self.counts.differed += self._fleet.memory(slot) != memory

    def _apply(self, slot: int, decision: Decision, second: int) -> None:
        if not decision.is_applied or decision.desired < 0 or decision.desired == self._scale[slot]:
            return
        more = decision.desired - int(self._scale[slot])
        self._scale[slot] = decision.desired
        self._ready[slot] = min(self._ready[slot], decision.desired)
        for _ in range(more):
            self.counts.pods_started += 1
            self._coming[second + 1 + round(self._start.draw(self._starts))].append(slot)
        self._see(slot)

    def _see(self, slot: int) -> None:
        ready, scale = int(self._ready[slot]), int(self._scale[slot])
        starting = max(0, scale - ready)
        self._fleet.see(
            slot,
            ready_pods=ready,
            not_ready_pods=starting,
            starting_pods=starting,
            current_scale=scale,
            start_s=self._start.mean_s,
        )

    def _note(self, second: int, load: Second) -> None:
        self.counts.seconds = second
        self.counts.requests += float(load.arrivals.sum())
        self.counts.pods_peak = max(self.counts.pods_peak, int(self._scale.sum()))
        if second % TOLD_EVERY_S == 0:
            pods, awake = int(self._ready.sum()), self.counts.awake[-1]
            self.rounds.append({"second": second, "ready_pods": pods, "awake": awake})
            print(f"fleet: second {second}, {pods} pods ready, {awake} awake", file=sys.stderr)


def measure(revisions: int, seconds: int, app: App, start: Distribution, seed: int) -> Figures:
    """Run a fleet and return its figures; raises ValueError for a size beyond the bounds."""
    run = FleetRun(revisions, app, start, seed)
    run.run(seconds)
    counts = run.counts
    poke_s = sum(counts.poke_s)
    bars = [
        Bar("fleet_cold_starts", counts.cold_starts / poke_s if poke_s else 0.0, "1/s", COLD_STARTS_MIN, at_least=True),
        Bar("fleet_differs_from_scalar", counts.differed, "", 0),
    ]
    turn_us = _percentile(counts.turn_us, 0.5)
    if revisions >= TURN_LIMIT_FROM:
        bars.insert(0, Bar("fleet_turn_per_revision_p50", turn_us, "us", TURN_LIMIT_US))
    notes = {
        "revisions": revisions,
        "seconds": counts.seconds,
        "seed": seed,
        "requests": round(counts.requests),
        "cold_starts": counts.cold_starts,
        "pods_started": counts.pods_started,
        "pods_peak": counts.pods_peak,
        "decided": counts.decided,
        "compared_with_scalar": counts.compared,
        "awake_mean": round(sum(counts.awake) / max(1, len(counts.awake))),
        "turn_us_per_revision_p50": round(turn_us, 3),
        "turn_ms_p99": round(1e3 * _percentile(counts.turn_s, 0.99), 3),
        "poke_us_p99": round(1e6 * _percentile(counts.poke_s, 0.99), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    return Figures(rounds=run.rounds, bars=bars, notes=notes)


def _percentile(values: Sequence[float], share: float) -> float:
    return percentile(list(values), share) if values else 0.0
