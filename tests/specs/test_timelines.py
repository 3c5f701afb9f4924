"""Runs the timelines of this folder: each is a table that reads as the specification of one rule, or of two that meet.

How to read one. `annotations` leave out `autoscaling.knative.dev/`, `config` is config-autoscaler. `start` says what is
there before the first row: `new` (a revision nobody has decided for), `zero` (scaled to zero long ago), `active N` (N
pods, active for long), `restarted N` (the same, but the autoscaler has just started). `changes` are settings that
change on the way; `start_s` is the measured start time of a pod; `begins` the time of day of second 0.

A row says: since the row before, every second `load` was recorded (`-`: nobody reported; `other`: of the second metric)
and `ready` pods were ready, `starting` ones on their way; `waiting` requests are held by an activator at this moment.
The rest of the row is the decision then: `desired` pods (`-1`: no opinion), `scale` asked of the Deployment afterwards,
serving `mode`, `active` condition, `panic`, excess burst capacity `ebc`, `metric` that asked for most, `wait` (seconds
until the rule that holds the scale lets go), `activators` in the path when any is, and `reason`. Turns are also taken
every two seconds between rows. Every timeline is played twice: by `decide`, and by the fleet form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.specs.worlds import Case, FleetWorld, Moment, ScalarWorld
from tidegate.contracts.decision import Decision

FOLDER = Path(__file__).parent
ACTIVE = {"Active": "True", "Inactive": "False", "Activating": "Unknown"}


def timelines() -> list[Any]:
    found = []
    for path in sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "reports.yaml"}):
        for case in yaml.safe_load(path.read_text()):
            found.append(pytest.param(Case(**case), id=f"{path.stem}: {case['name']}"))
    return found


def rows(table: str) -> list[dict[str, str]]:
    lines = [line for line in table.splitlines() if line.strip() and not line.strip().startswith("#")]
    header = [cell for cell in lines[0].split() if cell != "→"]
    return [dict(zip(header, line.replace("→", " ").split(), strict=True)) for line in lines[1:]]


def play(world: ScalarWorld | FleetWorld, row: dict[str, str], before: int) -> Decision:
    at, load = int(row["time"]), row.get("load", "-")
    moment = Moment(int(row.get("ready", 0)), int(row.get("starting", 0)))
    decision = None
    for second in range(before + 1, at + 1):
        world.record(second, None if load == "-" else float(load), float(row.get("other", 0)))
        moment.waiting = int(row.get("waiting", 0)) if second == at else 0
        if second % 2 == 0 or second == at:
            decision = world.turn(second, moment)
    assert decision is not None, "rows must go forward in time"
    return decision


def told(decision: Decision, world: ScalarWorld | FleetWorld) -> dict[str, str]:
    reason = f"/{decision.activity_reason}" if decision.activity_reason else ""
    return {
        "desired": str(decision.desired),
        "scale": str(world.scale),
        "mode": str(decision.serving_mode),
        "active": ACTIVE[decision.activity] + reason,
        "panic": "yes" if decision.is_panicking else "no",
        "ebc": str(decision.excess_burst_capacity),
        "metric": decision.metric,
        "wait": f"{decision.next_change_s:g}",
        "activators": str(decision.activators),
        "reason": str(decision.because),
    }


@pytest.mark.parametrize("form", [ScalarWorld, FleetWorld])
@pytest.mark.parametrize("case", timelines())
def test_timeline(case, form):
    world, before = form(case), -1
    expected, seen = [], []
    for row in rows(case.timeline):
        outcome = told(play(world, row, before), world)
        before = int(row["time"])
        wanted = {name: value for name, value in row.items() if name in outcome}
        expected.append({"time": before, **wanted})
        seen.append({"time": before, **{name: outcome[name] for name in wanted}})
    assert seen == expected
