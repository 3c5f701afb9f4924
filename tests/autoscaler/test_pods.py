"""Pods as numbers: ready, on their way, and how long they take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.pods import COMING, PodCounts, PodState, RevisionPods

DEADLINE_S = 600.0
PENDING, READY, NOT_READY = PodState.PENDING, PodState.READY, PodState.NOT_READY


def test_a_pod_counts_as_starting_while_it_is_young_and_was_never_ready():
    pods = RevisionPods()
    pods.change("a", None, PENDING, 100.0, is_new=True)
    assert pods.counts(100.0, DEADLINE_S) == PodCounts(not_ready=1, starting=1)
    assert pods.counts(100.0 + DEADLINE_S, DEADLINE_S) == PodCounts(not_ready=1)
    pods.change("a", PENDING, READY, 104.0, is_new=True)
    assert pods.counts(105.0, DEADLINE_S) == PodCounts(ready=1, start_s=4.0)
    pods.change("a", READY, NOT_READY, 106.0, is_new=True)
    assert pods.counts(106.0, DEADLINE_S) == PodCounts(not_ready=1, start_s=4.0)
    pods.change("a", NOT_READY, READY, 190.0, is_new=True)
    assert pods.samples == (4.0,)


def test_what_was_there_before_us_tells_nothing_of_starts():
    pods = RevisionPods()
    pods.change("a", None, PENDING, 100.0, is_new=False)
    pods.change("a", PENDING, READY, 104.0, is_new=True)
    assert pods.counts(104.0, DEADLINE_S) == PodCounts(ready=1)


def test_pods_that_leave_count_for_nothing():
    pods = RevisionPods()
    pods.change("a", None, PENDING, 100.0, is_new=True)
    pods.change("a", PENDING, PodState.TERMINATING, 101.0, is_new=True)
    pods.change("b", None, PodState.ENDED, 100.0, is_new=True)
    assert pods.counts(101.0, DEADLINE_S) == PodCounts()
    assert pods.count == 2
    pods.change("a", PodState.TERMINATING, None, 102.0, is_new=True)
    pods.change("b", PodState.ENDED, None, 102.0, is_new=True)
    assert pods.count == 0


STATES = st.none() | st.sampled_from(list(PodState))


@given(st.lists(st.tuples(st.sampled_from("abc"), STATES), max_size=30))
def test_the_numbers_are_those_of_the_states(changes):
    pods, states = RevisionPods(), dict.fromkeys("abc")
    for now, (name, state) in enumerate(changes):
        pods.change(name, states[name], state, float(now), is_new=True)
        states[name] = state
    there = [state for state in states.values() if state is not None]
    counts = pods.counts(float(len(changes)), DEADLINE_S)
    assert (counts.ready, counts.not_ready) == (there.count(READY), sum(state in COMING for state in there))
    assert counts.starting <= counts.not_ready
    assert pods.count == len(there)
