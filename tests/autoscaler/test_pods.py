"""Pods as numbers: ready, on their way, and how long they take."""

from __future__ import annotations

from autoscaler.pods import STARTING_S, PodCounts, PodState, RevisionPods


def test_a_pod_counts_as_starting_while_it_is_young_and_was_never_ready():
    pods = RevisionPods()
    assert pods.see("a", PodState.PENDING, 100.0, is_first_list=False)
    assert pods.counts(100.0) == PodCounts(not_ready=1, starting=1)
    assert pods.counts(100.0 + STARTING_S) == PodCounts(not_ready=1)
    assert pods.see("a", PodState.READY, 104.0, is_first_list=False)
    assert not pods.see("a", PodState.READY, 105.0, is_first_list=False)
    assert pods.counts(105.0) == PodCounts(ready=1, start_s=4.0)
    pods.see("a", PodState.NOT_READY, 106.0, is_first_list=False)
    assert pods.counts(106.0) == PodCounts(not_ready=1, start_s=4.0)


def test_the_start_time_is_a_mean_that_follows_the_newest():
    pods = RevisionPods()
    for number, took_s in enumerate((4.0, 8.0)):
        pods.see(str(number), PodState.PENDING, 100.0, is_first_list=False)
        pods.see(str(number), PodState.READY, 100.0 + took_s, is_first_list=False)
    assert pods.counts(110.0).start_s == 6.0


def test_slow_starts_are_waited_for_longer():
    pods = RevisionPods()
    pods.start_s = 200.0
    pods.see("a", PodState.PENDING, 100.0, is_first_list=False)
    assert pods.counts(100.0 + 599).starting == 1
    assert pods.counts(100.0 + 601).starting == 0


def test_what_was_ready_before_us_tells_nothing_of_starts():
    pods = RevisionPods()
    pods.see("a", PodState.READY, 100.0, is_first_list=True)
    assert pods.counts(100.0) == PodCounts(ready=1)


def test_pods_that_leave_count_for_nothing():
    pods = RevisionPods()
    pods.see("a", PodState.TERMINATING, 100.0, is_first_list=False)
    pods.see("b", PodState.ENDED, 100.0, is_first_list=False)
    assert pods.counts(100.0) == PodCounts()
