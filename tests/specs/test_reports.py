"""Runs reports.yaml: what is recorded of reports from both sides while the activator enters or leaves the path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import state
from autoscaler.demand import Demand
from autoscaler.fleet_state import PROXY, SERVE
from tests.specs.test_timelines import rows
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.report import Report

KEY = ("default", "hello-00001")
BEGIN = 1000.0
MODES = {"Proxy": PROXY, "Serve": SERVE}
LEVEL = 10.0


class Reported:
    """One revision with one pod and one activator."""

    def __init__(self) -> None:
        self.demand = Demand()
        self.slot = self.demand.configure(KEY, ScalingSpec(), state.fresh(BEGIN))
        self.pod = self.demand.open(KEY, BEGIN)
        self.book: dict[Any, int] = {}

    def report(self, who: str, time: float, level: float, proxied: float) -> None:
        now = BEGIN + time
        row = self.pod
        if who == "activator":
            row = self.book[KEY] if KEY in self.book else self.demand.open_for(self.book, KEY, now)
        self.demand.sources.take(row, Report(*KEY, 1, 1.0, level, proxied, in_flight=round(level)), now)

    def second(self, time: float, mode: int) -> float | None:
        """Let a second pass in `mode`; returns what is recorded."""
        self.demand.fleet.state.columns["serving_mode"][self.slot] = mode
        self.demand.record(BEGIN + time)
        seconds = dict(self.demand.fleet.windows.seconds(self.slot, "concurrency"))
        return seconds.get(int(BEGIN + time))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case["name"])
        for case in yaml.safe_load(Path(__file__).with_name("reports.yaml").read_text())
    ],
)
def test_recorded(case):
    revision = Reported()
    expected, seen = [], []
    for row in rows(case["timeline"]):
        time = float(row["time"])
        if row["who"] != "-":
            revision.report(row["who"], time, float(row["level"]), float(row["proxied"]))
            continue
        load = revision.second(time, MODES[row["mode"]])
        if row["load"] != "-":
            expected.append((time, float(row["load"])))
            seen.append((time, round(load or 0.0, 6)))
    assert seen == expected


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.0, 1.0), st.booleans())
def test_whenever_both_report_a_switch_counts_nothing_twice(activator_at, pod_at, after_s, leaves):
    """Ten in flight; gateways follow a decision of second 4 `after_s` later, and ten are recorded throughout."""
    revision, switch = Reported(), 4.5 + after_s
    before, after = (PROXY, SERVE) if leaves else (SERVE, PROXY)

    def through_activator(end: float) -> float:
        """Return the mean level through the activator in the second before `end`."""
        share = min(1.0, max(0.0, switch - (end - 1)))
        return LEVEL * (share if leaves else 1 - share)

    reports = [
        (number + phase, who) for number in range(12) for phase, who in ((activator_at, "activator"), (pod_at, "pod"))
    ]
    for second in range(11):
        for time, who in sorted(reports):
            if second - 0.5 < time <= second + 0.5:
                _tell(revision, who, time, through_activator(time))
        load = revision.second(second + 0.5, before if second < 4 else after)
        if second >= 2:
            assert load == pytest.approx(LEVEL, abs=0.001)


def _tell(revision: Reported, who: str, time: float, proxied: float) -> None:
    if who == "pod":
        revision.report(who, time, LEVEL, proxied)
    elif proxied > 0 or KEY in revision.book:
        revision.report(who, time, proxied, 0.0)
