"""Random fleets, decided twice: revision by revision with `decide`, and all at once with `Fleet`.

`compare_decisions` hands loads in directly, so that anything may come (not a number, infinite, negative, huge);
`compare_windows` records seconds into both forms of windows. Both return how many decisions agreed, and raise
AssertionError with both values where one did not. Deterministic by seed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np

from autoscaler import state
from autoscaler.decide import decide
from autoscaler.delays import DELAY_BUCKET_S
from autoscaler.fleet import Fleet
from autoscaler.window import Window
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import WEIGHTED_EXPONENTIAL
from tidegate.contracts.decision import Activity, Decision, ServingMode

BEGIN = 10_000.0
ODD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-7, 1e300, 70.0, 140.00000000000003)


def random_spec(rng: np.random.Generator) -> ScalingSpec:
    """Return settings from all over what validation lets in, with a liking for the borders."""
    pick = rng.choice
    total = float(pick([1.0, 10.0, 100.0, 0.01, float(rng.uniform(0.01, 500)), 1e9]))
    initial = int(pick([0, 1, 1, 1, 3]))
    other = bool(rng.random() < 0.2)
    metric = str(pick(["concurrency", "concurrency", "rps"]))
    return ScalingSpec(
        metric=metric,
        target=max(0.01, total * float(pick([0.7, 1.0, 0.01]))),
        total=total,
        algorithm=str(pick(["linear", "linear", "linear", WEIGHTED_EXPONENTIAL])),
        stable_window_s=float(pick([6, 10, 60, 60, 60])),
        panic_window_s=float(pick([1, 6, 6])),
        panic_threshold=float(pick([2.0, 2.0, 1.1, 10.0, 0.5])),
        max_scale_up_rate=float(pick([1000.0, 1000.0, 1.1, 2.0, 1e308])),
        max_scale_down_rate=float(pick([2.0, 2.0, 1.01, 100.0])),
        target_burst_capacity=float(pick([211.0, 211.0, 0.0, -1.0, 7.5])),
        min_scale=int(pick([0, 0, 0, 1, 3])),
        max_scale=int(pick([0, 0, 3, 10])),
        initial_scale=initial,
        activation_scale=int(pick([0, 0, 0, 2, 5])),
        scale_down_delay_s=float(pick([0, 0, 0, 1, 4, 30])),
        grace_s=float(pick([30.0, 6.0, 0.5])),
        retention_s=float(pick([0.0, 0.0, 10.0, 90.0])),
        progress_deadline_s=float(pick([600.0, 5.0])),
        is_scale_to_zero_enabled=bool(rng.random() < 0.9),
        is_reachable=bool(rng.random() < 0.85),
        activator_capacity=float(pick([100.0, 1.0])),
        other_metric=("rps" if metric == "concurrency" else "concurrency") if other else "",
        other_target=float(pick([0.7, 35.0])) if other else 0.0,
        other_total=float(pick([1.0, 50.0])) if other else 0.0,
        is_panic_paced=bool(rng.random() < 0.8),
        last_pod_delay_s=float(pick([-1.0, -1.0, -1.0, 0.0, 15.0, 120.0])),
        is_min_scheduled=bool(rng.random() < 0.2),
        is_max_scheduled=bool(rng.random() < 0.2),
        # Whoever is pre-warmed counts idle times itself; here the pods it asks for are drawn (`random_counts`).
        is_prewarmed=False,
    )


def random_memory(rng: np.random.Generator) -> state.Memory:
    """Return how a revision begins: new, or found by an autoscaler that has just started."""
    if rng.random() < 0.5:
        return state.fresh(BEGIN)
    return state.restored(
        BEGIN,
        activity=Activity(str(rng.choice([str(one) for one in Activity]))),
        activity_age_s=float(rng.choice([0.0, 10.0, 5000.0])),
        is_initialized=bool(rng.random() < 0.8),
        serving_mode=[None, ServingMode.SERVE, ServingMode.PROXY][int(rng.integers(3))],
        wanted=int(rng.choice([-1, 0, 1, 7])),
    )


def random_counts(rng: np.random.Generator, scale: int) -> dict[str, float]:
    """Return what might be seen of a revision's pods."""
    top = int(
        rng.choice([0, 1, 2, 5, 40, scale if scale > 0 else 0, 2**31 - 1], p=[0.15, 0.2, 0.2, 0.2, 0.1, 0.14, 0.01])
    )
    starting = int(rng.choice([0, 0, 1, 6]))
    return {
        "ready_pods": top,
        "not_ready_pods": starting + int(rng.integers(3)),
        "starting_pods": starting,
        "current_scale": scale if scale >= 0 and rng.random() < 0.8 else int(rng.integers(12)),
        "prewarm_pods": int(rng.random() < 0.05),
        "start_s": float(rng.choice([0.0, 0.0, 0.3, 2.5, 40.0])),
    }


class Pair:
    """One revision in both forms."""

    def __init__(self, slot: int, spec: ScalingSpec, memory: state.Memory) -> None:
        self.slot, self.spec, self.memory = slot, spec, memory
        self.counts: dict[str, float] = {}
        self.scale = 1
        self.windows = {
            metric: (Window(spec.stable_window_s), Window(spec.panic_window_s))
            for metric in (spec.metric, spec.other_metric)
            if metric
        }

    def averages(self, metric: str, second: int) -> tuple[float | None, float | None]:
        if metric not in self.windows:
            return None, None
        stable, panic = self.windows[metric]
        if stable.is_empty(second):
            return None, None
        if self.spec.algorithm == WEIGHTED_EXPONENTIAL:
            return stable.weighted_average(second), panic.weighted_average(second)
        return stable.average(second), panic.average(second)


def new_fleet(rng: np.random.Generator, revisions: int, kinds: int) -> tuple[Fleet, list[Pair]]:
    specs = [random_spec(rng) for _ in range(kinds)]
    fleet, pairs = Fleet(), []
    for slot in range(revisions):
        pair = Pair(slot, specs[int(rng.integers(kinds))], random_memory(rng))
        fleet.add(slot, pair.spec, pair.memory)
        pairs.append(pair)
    return fleet, pairs


def check(pair: Pair, expected: Decision, got: Decision, memory: state.Memory, now: float, fleet: Fleet | None) -> None:
    """Compare two decisions, and where a fleet is given the memories too; to the bit, and -0.0 is not 0.0."""
    assert repr(expected) == repr(got), f"\n{pair.spec}\n{pair.memory}\nscalar {expected}\nfleet  {got}"
    if fleet is not None:
        ours, theirs = (_without_stale(pair, one, now) for one in (memory, fleet.memory(pair.slot)))
        assert repr(ours) == repr(theirs), f"\n{pair.spec}\nscalar {ours}\nfleet  {theirs}"


def _without_stale(pair: Pair, memory: state.Memory, now: float) -> state.Memory:
    """What is too old for the delay, or lower than another of its bucket, counts no more; the forms differ in when it
    goes."""
    oldest = math.floor(now / DELAY_BUCKET_S) - math.ceil(pair.spec.scale_down_delay_s / DELAY_BUCKET_S) + 1
    highest: dict[int, int] = {}
    for bucket, pods in memory.delayed:
        if bucket >= oldest:
            highest.setdefault(bucket, pods)
    return msgspec.structs.replace(memory, delayed=tuple(highest.items()))


def compare_decisions(seed: int, revisions: int, turns: int, kinds: int = 50) -> int:
    """Play random loads; every decision of every revision is compared, memories at the end."""
    rng = np.random.default_rng(seed)
    fleet, pairs = new_fleet(rng, revisions, kinds)
    slots, now = np.arange(revisions), BEGIN
    for turn in range(turns):
        now += float(rng.choice([2.0, 2.0, 2.0, 0.01, 1.0, 31.0, 700.0], p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]))
        loads = rng.exponential(float(rng.choice([1.0, 50.0, 500.0])), (4, revisions))
        loads[rng.random((4, revisions)) < 0.3] = 0.0
        odd = rng.random((4, revisions)) < 0.05
        loads[odd] = rng.choice(ODD, int(odd.sum()))
        loads[:, rng.random(revisions) < 0.1] = np.nan
        waiting = np.where(rng.random(revisions) < 0.2, rng.integers(0, 60, revisions), 0)
        for pair in pairs:
            if turn == 0 or rng.random() < 0.4:
                pair.counts = random_counts(rng, pair.scale)
                fleet.see(pair.slot, **pair.counts)
        made = fleet._decide(slots, list(loads), waiting, now)
        names = {"concurrency": (0, 1), "rps": (2, 3)}
        for pair in pairs:
            stable, panic = (loads[index, pair.slot] for index in names[pair.spec.metric])
            if np.isnan(panic) and not np.isnan(stable):
                panic = 0.0
            others = [loads[index, pair.slot] for index in names.get(pair.spec.other_metric, ())]
            seen = state.Observation(
                stable_value=float(stable),
                panic_value=float(panic),
                other_stable_value=float(others[0]) if others else None,
                other_panic_value=float(others[1]) if others else None,
                waiting=int(waiting[pair.slot]),
                **pair.counts,
            )
            expected, memory = decide(pair.spec, seen, pair.memory, now)
            check(pair, expected, made.decision(pair.slot), memory, now, fleet if turn == turns - 1 else None)
            pair.memory, pair.scale = memory, expected.desired
    return revisions * turns


def compare_windows(seed: int, revisions: int, seconds: int, kinds: int = 20) -> int:
    """Play recorded seconds through both forms of windows, with pokes and changed settings."""
    rng = np.random.default_rng(seed)
    fleet, pairs = new_fleet(rng, revisions, kinds)
    count, now = 0, BEGIN
    for pair in pairs:
        pair.counts = random_counts(rng, 1)
        fleet.see(pair.slot, **pair.counts)
    for number in range(seconds):
        now += float(rng.choice([1.0, 1.0, 1.0, 1.0, 3.0, 20.0]))
        second = int(now)
        concurrency, rps = rng.exponential(20.0, (2, revisions))
        said = rng.random(revisions) < float(rng.choice([0.0, 0.6, 0.95]))
        fleet.record(second, concurrency, rps, said)
        for pair in pairs:
            for metric, windows in pair.windows.items():
                for window in windows:
                    window.advance(second)
                    if said[pair.slot]:
                        window.record(second, float((concurrency if metric == "concurrency" else rps)[pair.slot]))
        if number % 2:
            count += _turn(fleet, pairs, now, second, rng)
        if rng.random() < 0.2:
            _reconfigure(fleet, pairs[int(rng.integers(revisions))], rng)
        if rng.random() < 0.2:
            count += _poke(fleet, pairs[int(rng.integers(revisions))], now, second, rng)
    return count


def _observation(pair: Pair, second: int, waiting: int) -> state.Observation:
    stable, panic = pair.averages(pair.spec.metric, second)
    other_stable, other_panic = pair.averages(pair.spec.other_metric, second)
    return state.Observation(
        stable_value=stable,
        panic_value=panic,
        other_stable_value=other_stable,
        other_panic_value=other_panic,
        waiting=waiting,
        **pair.counts,
    )


def _turn(fleet: Fleet, pairs: list[Pair], now: float, second: int, rng: np.random.Generator) -> int:
    waiting = np.where(rng.random(len(pairs)) < 0.1, 3, 0)
    decided = set()
    for made in fleet.turn(now, second, waiting, np.zeros(len(pairs), np.bool_)):
        for row, slot in enumerate(made.slots.tolist()):
            pair = pairs[slot]
            expected, memory = decide(pair.spec, _observation(pair, second, int(waiting[slot])), pair.memory, now)
            check(pair, expected, made.decision(row), memory, now, fleet)
            pair.memory = memory
            decided.add(slot)
    assert len(decided) == len(pairs)
    for pair in pairs:
        if rng.random() < 0.3:
            pair.counts = random_counts(rng, int(fleet.state.columns["desired"][pair.slot]))
            fleet.see(pair.slot, **pair.counts)
    return len(decided)


def _poke(fleet: Fleet, pair: Pair, now: float, second: int, rng: np.random.Generator) -> int:
    waiting = int(rng.integers(1, 50))
    expected, memory = decide(pair.spec, _observation(pair, second, waiting), pair.memory, now)
    got = fleet.decide_one(pair.slot, now, second, waiting)
    check(pair, expected, got, memory, now, fleet)
    pair.memory = memory
    return 1


def _reconfigure(fleet: Fleet, pair: Pair, rng: np.random.Generator) -> None:
    """Change the settings; the metrics stay, for a metric that is new begins without a history in either form."""
    fresh = random_spec(rng)
    kept = {name: getattr(pair.spec, name) for name in ("metric", "other_metric", "scale_down_delay_s")}
    pair.spec = replace(fresh, **kept, other_target=pair.spec.other_target, other_total=pair.spec.other_total)
    fleet.configure(pair.slot, pair.spec)
    pair.counts["prewarm_pods"] = 0
    for stable, panic in pair.windows.values():
        stable.resize(pair.spec.stable_window_s)
        panic.resize(pair.spec.panic_window_s)
