"""Start times: what is measured, and which pods are on their way."""

from __future__ import annotations

from autoscaler.starts import SAMPLES, Starts

DEADLINE_S = 600.0


def started(starts, pod, born_at, ready_at):
    starts.see(pod, born_at, is_ready=False)
    starts.see(pod, ready_at, is_ready=True)


def test_nothing_is_known_at_first():
    assert (Starts().start_s, Starts().starting(0.0, DEADLINE_S)) == (0.0, 0)


def test_a_start_is_from_first_sight_to_ready():
    starts = Starts()
    started(starts, "a", 10.0, 13.5)
    assert starts.start_s == 3.5
    assert starts.starting(13.5, DEADLINE_S) == 0


def test_the_median_counts():
    starts = Starts()
    for number, start_s in enumerate([2.0, 2.2, 90.0]):
        started(starts, str(number), 0.0, start_s)
    assert starts.start_s == 2.2


def test_old_starts_are_forgotten():
    starts = Starts()
    for number in range(50):
        started(starts, str(number), 0.0, 100.0)
    for number in range(SAMPLES):
        started(starts, f"new {number}", 0.0, 1.0)
    assert (starts.start_s, len(starts.samples)) == (1.0, SAMPLES)


def test_a_pod_that_turns_unready_is_not_starting_and_measures_nothing():
    starts = Starts()
    started(starts, "a", 0.0, 2.0)
    starts.see("a", 50.0, is_ready=False)
    assert starts.starting(50.0, DEADLINE_S) == 0
    starts.see("a", 90.0, is_ready=True)
    assert starts.samples == (2.0,)


def test_a_pod_that_was_there_before_we_looked_measures_nothing():
    starts = Starts()
    starts.see("a", 0.0, is_ready=False, is_new=False)
    starts.see("a", 1.0, is_ready=True)
    assert starts.samples == ()


def test_without_a_measured_start_a_pod_is_starting_until_the_progress_deadline():
    starts = Starts()
    starts.see("a", 0.0, is_ready=False)
    assert starts.starting(599.0, DEADLINE_S) == 1
    assert starts.starting(600.0, DEADLINE_S) == 0


def test_with_one_it_is_starting_for_three_times_as_long_and_five_seconds_at_least():
    starts = Starts((10.0,))
    starts.see("a", 0.0, is_ready=False)
    assert (starts.starting(29.0, DEADLINE_S), starts.starting(30.0, DEADLINE_S)) == (1, 0)
    quick = Starts((0.1,))
    quick.see("a", 0.0, is_ready=False)
    assert (quick.starting(4.9, DEADLINE_S), quick.starting(5.0, DEADLINE_S)) == (1, 0)


def test_a_pod_that_is_gone_is_not_starting():
    starts = Starts()
    starts.see("a", 0.0, is_ready=False)
    starts.forget("a")
    assert starts.starting(0.0, DEADLINE_S) == 0
    starts.see("a", 5.0, is_ready=False)
    starts.see("a", 6.0, is_ready=True)
    assert starts.samples == (1.0,)
