"""Many revisions at once: repeatable, equal to the scalar form, and its load is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from loadtest import distributions
from loadtest.simulate.command import simulate
from loadtest.simulate.fleet import FleetRun
from loadtest.simulate.fleet_load import FleetLoad
from tests.support.simulations import app

START = distributions.parse("uniform:1s,5s")


def ran(revisions: int, seconds: int, seed: int = 1) -> FleetRun:
    run = FleetRun(revisions, app(5, window="10s"), START, seed)
    run.run(seconds)
    return run


def test_a_fleet_wakes_sleeps_and_decides_like_the_scalar_form() -> None:
    counts = ran(200, 120).counts
    assert counts.cold_starts > 20
    assert counts.pods_started >= counts.cold_starts
    assert 0 < min(counts.awake[-10:]) < 200, "some are awake, some asleep"
    assert counts.compared >= 20 * 50
    assert counts.differed == 0


def test_a_fleet_repeats_by_seed() -> None:
    def numbers(seed: int) -> tuple[float, ...]:
        counts = ran(100, 40, seed).counts
        return counts.requests, counts.cold_starts, counts.pods_started, counts.decided

    assert numbers(3) == numbers(3) != numbers(4)


def test_the_load_in_flight_is_what_littles_law_says() -> None:
    load = FleetLoad(2000, seed=1)
    served = np.ones(2000, np.bool_)
    seconds = [load.step(served) for _ in range(300)][60:]
    arrivals = np.mean([second.arrivals for second in seconds], axis=0)
    in_flight = np.mean([second.concurrency for second in seconds], axis=0)
    service_s = in_flight.sum() / arrivals.sum()
    assert 10**-1.5 < service_s < 10**0.5
    assert all((second.waiting == 0).all() for second in seconds)


def test_who_has_no_pod_waits_and_is_served_when_one_comes() -> None:
    load = FleetLoad(50, seed=1)
    nobody, everybody = np.zeros(50, np.bool_), np.ones(50, np.bool_)
    before = [load.step(nobody) for _ in range(30)]
    assert before[-1].waiting.sum() == sum(second.arrivals.sum() for second in before)
    after = load.step(everybody)
    assert after.waiting.sum() == 0
    assert after.concurrency.sum() > 0


def test_a_fleet_from_the_command_line() -> None:
    result = CliRunner().invoke(simulate, ["--fleet", "50", "--until", "20s", "--json"])
    assert result.exit_code == 0, result.output
    assert '"fleet_differs_from_scalar"' in result.stdout


@pytest.mark.parametrize("revisions", ["0", "2000000"])
def test_a_fleet_has_bounds(revisions: str) -> None:
    result = CliRunner().invoke(simulate, ["--fleet", revisions])
    assert result.exit_code == 1
    assert "at least 1 and at most" in result.output
