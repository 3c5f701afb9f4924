"""Predictions for a timeline of connections: the worked examples, the ramp, and what counts as leaving it."""

from __future__ import annotations

import pytest

from loadtest import distributions
from loadtest.simulate.predict import Client, Sample, Step, outside, predict
from tests.support.simulations import app

START = distributions.parse("500ms")


def most_common_after(samples: list[Sample], at_s: float) -> int:
    ready = [sample.ready for sample in samples if sample.at_s >= at_s]
    return max(set(ready), key=ready.count)


@pytest.mark.parametrize(
    ("target", "percentage", "pods"), [("1", "100", 5), ("5", "100", 1), ("1", "70", 8), ("5", "70", 2)]
)
def test_the_worked_examples(target: str, percentage: str, pods: int) -> None:
    """Five requests in flight: ceil(5 / (target x utilization)) pods, whatever a request takes."""
    worked = app(target=target, target_utilization_percentage=percentage, window="6s")
    samples = predict([Step(5, 24)], worked, start=START, client=Client(0.1, 0.0))
    assert most_common_after(samples, 12) == pods


def test_a_ramp_up_and_down_reaches_each_level_and_ends_at_zero() -> None:
    ramp = app(target="1", target_utilization_percentage="100", window="6s")
    samples = predict([Step(1, 20), Step(10, 20), Step(1, 30), Step(0, 60)], ramp, start=START)
    by_time = {sample.at_s: sample.ready for sample in samples}
    assert by_time[0] == 0
    assert by_time[15] == 1
    assert by_time[38] == 10
    assert by_time[68] == 1
    assert by_time[130] == 0


def test_predictions_repeat_by_seed() -> None:
    steps = [Step(3, 10), Step(0, 5)]
    assert predict(steps, app(), start=START, seed=2) == predict(steps, app(), start=START, seed=2)


def line(*ready: int) -> list[Sample]:
    return [Sample(float(second), value) for second, value in enumerate(ready)]


@pytest.mark.parametrize(
    ("measured", "is_outside"),
    [
        ([0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 5, 5], False),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5, 6], False),  # four seconds late, one pod off
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], True),
        ([0, 0, 0, 0, 0, 7, 5, 5, 5, 5, 5, 5], True),
    ],
)
def test_outside_is_more_than_a_pod_or_two_ticks_away(measured: list[int], is_outside: bool) -> None:
    predicted = line(0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 5, 5)
    assert bool(outside(line(*measured), predicted)) is is_outside
