"""A status on its way waits for the next step; an end, a step back and anything new after the wait do not."""

import pytest

from controller.patience import HOLD_S, Held, can_wait
from controller.reconcile.outcome import Outcome


def status(ready="Unknown", **fields):
    return {"conditions": [{"type": "Ready", "status": ready}], **fields}


def target(have):
    return {"metadata": {"name": "hello"}, "status": have}


@pytest.mark.parametrize(
    ("have", "want", "waits"),
    [
        ({}, status(), True),
        (status(), status(latestCreatedRevisionName="hello-00001"), True),
        (status(), status(), False),
        (status(), status("True"), False),
        (status(), status("False"), False),
        ({}, status("True"), False),
        (status("True"), status(), False),
        (status("False"), status(), False),
        (status("True"), status("True", observedGeneration=2), False),
        ({}, {"observedGeneration": 1}, False),
    ],
)
def test_only_steps_between_unknown_and_unknown_wait(have, want, waits):
    assert can_wait(have, want) is waits


def test_a_step_waits_at_most_so_long_however_many_follow():
    held, outcome = Held[str](), Outcome(status=status(step=1))
    first = held.hold("a", target({}), outcome, now=10.0)
    assert (first.status, first.requeue_after_s) == (None, pytest.approx(HOLD_S))
    later = Outcome(status=status(step=2), requeue_after_s=0.01)
    assert held.hold("a", target({}), later, now=10.0 + HOLD_S / 2).requeue_after_s == 0.01
    assert held.hold("a", target({}), later, now=10.0 + HOLD_S) is later
    assert len(held) == 0


def test_what_is_written_at_once_ends_the_wait():
    held = Held[str]()
    held.hold("a", target({}), Outcome(status=status()), now=1.0)
    done = Outcome(status=status("True"))
    assert held.hold("a", target({}), done, now=1.1) is done
    assert held.hold("a", None, Outcome(), now=1.2) == Outcome()
    assert len(held) == 0


def test_actions_and_events_never_wait():
    outcome = Outcome(actions=("create",), status=status(), events=("made",))
    now = Held[str]().hold("a", target({}), outcome, now=0.0)
    assert (now.actions, now.events, now.status) == (("create",), ("made",), None)
