"""Pods as numbers: ready, on their way, and how long they take."""

from __future__ import annotations

from autoscaler.pods import PodCounts, PodState, RevisionPods

DEADLINE_S = 600.0


def test_a_pod_counts_as_starting_while_it_is_young_and_was_never_ready():
    pods = RevisionPods()
    assert pods.see("a", PodState.PENDING, 100.0, is_new=True)
    assert pods.counts(100.0, DEADLINE_S) == PodCounts(not_ready=1, starting=1)
    assert pods.counts(100.0 + DEADLINE_S, DEADLINE_S) == PodCounts(not_ready=1)
    assert pods.see("a", PodState.READY, 104.0, is_new=True)
    assert not pods.see("a", PodState.READY, 105.0, is_new=True)
    assert pods.counts(105.0, DEADLINE_S) == PodCounts(ready=1, start_s=4.0)
    pods.see("a", PodState.NOT_READY, 106.0, is_new=True)
    assert pods.counts(106.0, DEADLINE_S) == PodCounts(not_ready=1, start_s=4.0)


def test_what_was_there_before_us_tells_nothing_of_starts():
    pods = RevisionPods()
    pods.see("a", PodState.PENDING, 100.0, is_new=False)
    pods.see("a", PodState.READY, 104.0, is_new=True)
    assert pods.counts(104.0, DEADLINE_S) == PodCounts(ready=1)


def test_pods_that_leave_count_for_nothing():
    pods = RevisionPods()
    pods.see("a", PodState.PENDING, 100.0, is_new=True)
    pods.see("a", PodState.TERMINATING, 101.0, is_new=True)
    pods.see("b", PodState.ENDED, 100.0, is_new=True)
    assert pods.counts(101.0, DEADLINE_S) == PodCounts()
    assert pods.forget("a")
    assert not pods.forget("a")
