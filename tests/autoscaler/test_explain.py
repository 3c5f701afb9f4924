"""Every reason has a sentence, and the sentence carries the inputs."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler import explain, state
from autoscaler.decide import decide
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Because


def decision_of(spec, **seen):
    return decide(spec, state.Observation(**seen), state.fresh(0.0), 1.0)[0]


def test_load_is_told_with_its_numbers():
    spec = ScalingSpec(target=1.0, total=1.0)
    told = explain.explain(decision_of(spec, stable_value=5.0, panic_value=5.0, ready_pods=5, current_scale=5))
    assert told.sentence.startswith("5 pods: 5 requests in flight over the stable window need 5 pods at 1 each (")
    assert "stable 5, panic 5, target 1, 5 ready, 0 not ready, asked so far 5" in told.sentence
    assert told.next_change == "Load above 5, or below 4 (now 5)."


def test_a_waiting_request_is_told():
    told = explain.explain(decision_of(ScalingSpec(), waiting=1))
    assert told.sentence.startswith("1 pod: 1 request waits in the activator with no pod ready (")


def test_requests_per_second_are_told_as_such():
    spec = ScalingSpec(metric="rps", target=140.0, total=200.0)
    told = explain.sentence(decision_of(spec, stable_value=100.0, panic_value=100.0, ready_pods=1))
    assert "100 requests per second" in told


def test_an_announced_zero_names_the_pods_that_stay():
    decision = msgspec.structs.replace(
        decision_of(ScalingSpec(), current_scale=1),
        desired=0,
        is_applied=False,
        because=Because.ZERO_GRACE,
        next_change_s=12.4,
    )
    told = explain.explain(decision)
    assert told.sentence.startswith("0 pods announced, 1 pod kept: ")
    assert told.next_change == "The pods go in 12 s if no request comes."


@pytest.mark.parametrize("because", list(Because))
@pytest.mark.parametrize("desired", [-1, 0, 1, 7])
def test_every_reason_can_be_explained(because, desired):
    decision = msgspec.structs.replace(decision_of(ScalingSpec()), because=because, desired=desired, next_change_s=3.0)
    told = explain.explain(decision)
    assert told.sentence.endswith(").")
    assert "{" not in told.sentence
    assert told.next_change.endswith(".")
