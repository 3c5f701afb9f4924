"""Runs the timelines of this folder: each is a table that reads as the specification of one rule.

How to read one. `annotations` leave out `autoscaling.knative.dev/`, `config` is config-autoscaler. `start` says what is
there before the first row: `new` (a revision nobody has decided for), `zero` (scaled to zero long ago), `active N` (N
pods, active for long), `restarted N` (the same, but the autoscaler has just started). A row says: since the row before,
every second `load` was recorded (`-`: nobody reported) and `ready` pods were ready; `waiting` requests are held by an
activator at this moment. The rest of the row is the decision then: `desired` pods (`-1`: no opinion), `scale` asked of
the Deployment afterwards, serving `mode`, `active` condition, `panic`, excess burst capacity `ebc`, and `reason`. Turns
are also taken every two seconds between rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler import state
from autoscaler.decide import decide
from autoscaler.window import Window
from tidegate.contracts import autoscaling, names
from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts.decision import Activity, Decision, ServingMode

BEGIN = 100_000.0
LONG_S = 50_000.0
FOLDER = Path(__file__).parent


@dataclass
class World:
    """One revision under a virtual clock."""

    spec: autoscaling.ScalingSpec
    memory: state.Memory
    scale: int
    windows: tuple[Window, Window] = field(init=False)

    def __post_init__(self) -> None:
        self.windows = Window(self.spec.stable_window_s), Window(self.spec.panic_window_s)

    def record(self, now: float, value: float) -> None:
        for window in self.windows:
            window.record(now, value)

    def averages(self, now: float) -> tuple[float, float] | None:
        stable, panic = self.windows
        if stable.is_empty(now):
            return None
        if self.spec.algorithm == keys.WEIGHTED_EXPONENTIAL:
            return stable.weighted_average(now), panic.weighted_average(now)
        return stable.average(now), panic.average(now)

    def turn(self, now: float, ready: int, waiting: int) -> Decision:
        averages = self.averages(now)
        seen = state.Observation(
            stable_value=averages[0] if averages else None,
            panic_value=averages[1] if averages else None,
            ready_pods=ready,
            not_ready_pods=max(0, self.scale - ready),
            waiting=waiting,
            current_scale=self.scale,
            is_poked=waiting > 0,
        )
        decision, self.memory = decide(self.spec, seen, self.memory, now)
        if decision.is_applied and decision.desired >= 0:
            self.scale = decision.desired
        return decision


def timelines() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            found.append(pytest.param(case, id=f"{path.stem}: {case['name']}"))
    return found


def begin(case: dict[str, Any]) -> World:
    annotations = {names.AUTOSCALING + key: str(value) for key, value in (case.get("annotations") or {}).items()}
    config = autoscaling.parse_config({key: str(value) for key, value in (case.get("config") or {}).items()})
    spec = autoscaling.resolve_spec(
        annotations, case.get("containerConcurrency", 0), config, case.get("reachability", "Reachable")
    )
    kind, _, count = case["start"].partition(" ")
    pods = int(count or 0)
    match kind:
        case "new":
            world = World(spec, state.fresh(BEGIN), spec.initial_scale)
        case "zero":
            world = World(spec, settled(Activity.INACTIVE, ServingMode.PROXY, 0), 0)
        case "active":
            world = World(spec, settled(Activity.ACTIVE, None, pods), pods)
        case "restarted":
            memory = state.restored(
                BEGIN,
                activity=Activity.ACTIVE if pods else Activity.INACTIVE,
                activity_age_s=LONG_S,
                is_initialized=True,
                serving_mode=ServingMode.SERVE if pods > 2 else ServingMode.PROXY,
            )
            world = World(spec, memory, pods)
    return world


def settled(activity: Activity, mode: ServingMode | None, wanted: int) -> state.Memory:
    return state.Memory(
        began_at=BEGIN - LONG_S,
        wanted=wanted,
        activity=activity,
        activity_since=BEGIN - LONG_S,
        is_initialized=True,
        serving_mode=mode,
        proxy_since=BEGIN - LONG_S if mode is ServingMode.PROXY else None,
    )


def rows(table: str) -> list[dict[str, str]]:
    lines = [line for line in table.splitlines() if line.strip() and not line.strip().startswith("#")]
    header = [cell for cell in lines[0].split() if cell != "→"]
    return [dict(zip(header, line.replace("→", " ").split(), strict=True)) for line in lines[1:]]


def play(world: World, row: dict[str, str], before: int) -> Decision:
    at, ready, waiting = int(row["time"]), int(row.get("ready", 0)), int(row.get("waiting", 0))
    decision = None
    for second in range(before + 1, at + 1):
        if row.get("load", "-") != "-":
            world.record(BEGIN + second, float(row["load"]))
        if second % 2 == 0 or second == at:
            decision = world.turn(BEGIN + second, ready, waiting if second == at else 0)
    assert decision is not None, "rows must go forward in time"
    return decision


def told(decision: Decision, world: World) -> dict[str, str]:
    return {
        "desired": str(decision.desired),
        "scale": str(world.scale),
        "mode": str(decision.serving_mode),
        "active": {"Active": "True", "Inactive": "False", "Activating": "Unknown"}[decision.activity]
        + (f"/{decision.activity_reason}" if decision.activity_reason else ""),
        "panic": "yes" if decision.is_panicking else "no",
        "ebc": str(decision.excess_burst_capacity),
        "reason": str(decision.because),
    }


@pytest.mark.parametrize("case", timelines())
def test_timeline(case):
    world, before = begin(case), -1
    expected, seen = [], []
    for row in rows(case["timeline"]):
        outcome = told(play(world, row, before), world)
        before = int(row["time"])
        wanted = {name: value for name, value in row.items() if name in outcome}
        expected.append({"time": before, **wanted})
        seen.append({"time": before, **{name: outcome[name] for name in wanted}})
    assert seen == expected
