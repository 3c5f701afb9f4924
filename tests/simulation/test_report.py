"""The page on the simulator shows the figures that are in the results beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtest.figures import ROOT
from loadtest.simulate import report

PAGE = (ROOT / "docs" / "simulator.md").read_text()
NEWEST = max(report.RESULTS.glob("*-simulate-llm.json"))
ROUNDS = json.loads(NEWEST.read_text())["rounds"]


def row(entry: dict[str, Any]) -> str:
    share = f"{entry['cold_share'] * 100:.1f} %" if entry["cold_share"] else "0 %"
    waits = f"{entry['wait_s']['p95']:.1f} | {entry['wait_s']['p99']:.1f}"
    hours = f"{entry['pod_s'] / 3600:.2f} | {entry['peak_pods']}"
    return f"| {entry['policy']} | {share} | {waits} | {hours} | {entry['cost']:.2f} |"


@pytest.mark.parametrize("entry", ROUNDS, ids=lambda entry: f"{entry['trace']} {entry['policy']}")
def test_the_tables_are_those_of_the_newest_result(entry: dict[str, Any]) -> None:
    assert row(entry) in PAGE


def test_the_pictures_are_those_of_the_newest_result() -> None:
    for kind in report.TRACES:
        assert f"{NEWEST.name.removesuffix('.json')}-{kind}.svg" in PAGE


def test_the_recommendation_is_that_of_the_newest_sweep() -> None:
    notes = json.loads(max(report.RESULTS.glob("*-simulate-sweep.json")).read_text())["notes"]
    chosen = " ".join(f"{name}={value}" for name, value in notes["recommended"].items())
    assert f"the cheapest with a p99 wait of at most {notes['wait_p99_limit_s']:g} s: {chosen}" in PAGE
