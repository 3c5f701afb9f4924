"""Every reason has a sentence, and the sentence carries the inputs."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler import explain, state
from autoscaler.decide import decide
from autoscaler.zero import ACTIVATION_MARGIN_S
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Because


def decision_of(spec, **seen):
    return decide(spec, state.Observation(**seen), state.fresh(0.0), 1.0)[0]


def last_of(spec, *turns, memory=None):
    """Play (now, what is seen) turn by turn, and return the last decision, explained."""
    memory = memory or state.fresh(turns[0][0])
    for now, seen in turns:
        decision, memory = decide(spec, state.Observation(**seen), memory, now)
    return explain.explain(decision)


ONE_EACH = {"target": 1.0, "total": 1.0}


def load(value, panic=None, pods=1, **more):
    return {
        "stable_value": float(value),
        "panic_value": float(value if panic is None else panic),
        "ready_pods": pods,
        "current_scale": pods,
        **more,
    }


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


# What changes the number next, and when: (spec, turns, seconds, sentence)
NEXT = {
    "panic ends a stable window after its last alarm": (
        ScalingSpec(**ONE_EACH),
        [(100.0, load(6, pods=1)), (110.0, load(2, 2, pods=6))],
        50.0,
        "More load at once; fewer pods only after panic, which ends in 50 s if load stays as it is.",
    ),
    "load decides in panic, which ends all the same": (
        ScalingSpec(**ONE_EACH),
        [(100.0, load(6, 4, pods=1))],
        60.0,
        "Load above 6 (now 6); fewer pods only after panic, which ends in 60 s.",
    ),
    "the delay lets go when the bucket of the highest number is too old": (
        ScalingSpec(**ONE_EACH, scale_down_delay_s=30.0),
        [(100.0, load(5, pods=5)), (104.0, load(3, pods=5))],
        26.0,
        "The delay lets go of this number in 26 s if load stays as it is; more load counts at once.",
    ),
    "growth is held for a start and as long again": (
        ScalingSpec(**ONE_EACH, is_panic_paced=True),
        [
            (100.0, load(5, pods=0, start_s=4.0)),
            (102.0, load(90, pods=0, start_s=4.0, starting_pods=5)),
        ],
        6.0,
        "The pods that start becoming ready, or 6 s passing.",
    ),
    "the up-rate counts from ready pods": (
        ScalingSpec(**ONE_EACH, max_scale_up_rate=2.0),
        [(100.0, load(50, pods=3))],
        -1.0,
        "The next pod that becomes ready: the limit of a turn counts from ready pods.",
    ),
    "the down-rate counts each turn": (
        ScalingSpec(**ONE_EACH),
        [(100.0, load(1, pods=8))],
        -1.0,
        "The next turn, within 2 s.",
    ),
    "less load changes nothing at the minimum": (
        ScalingSpec(**ONE_EACH, min_scale=3),
        [(100.0, load(1, pods=3))],
        -1.0,
        "Load above 3, or a lower min-scale.",
    ),
    "load decides without a limit of time": (
        ScalingSpec(**ONE_EACH),
        [(100.0, load(3, pods=3))],
        -1.0,
        "Load above 3, or below 2 (now 3).",
    ),
    "a start is given up after the progress deadline": (
        ScalingSpec(progress_deadline_s=20.0),
        [(100.0, load(0, pods=0)), (105.0, load(0, pods=0))],
        15.0 + ACTIVATION_MARGIN_S,
        f"A ready pod, or giving up in {15.0 + ACTIVATION_MARGIN_S:.0f} s.",
    ),
    "who waits gets more pods when more wait": (
        ScalingSpec(**ONE_EACH),
        [(100.0, {"waiting": 2})],
        -1.0,
        "A ready pod, or more than 2 requests waiting.",
    ),
}


@pytest.mark.parametrize("case", NEXT)
def test_the_next_change_and_when(case):
    spec, turns, seconds, sentence = NEXT[case]
    told = last_of(spec, *turns)
    assert told.next_change == sentence, told.sentence
    assert told.next_change_s == pytest.approx(seconds)
