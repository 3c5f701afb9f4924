"""Idle-time histograms: when they conclude something, and what."""

from __future__ import annotations

import math

import pytest

from autoscaler.prewarm import BINS, COUNT_LIMIT, COUNT_MIN, IdleTimes


def times_of(*idle_minutes):
    times = IdleTimes()
    for minutes in idle_minutes:
        times.count(minutes * 60.0)
    return times


@pytest.mark.parametrize(
    ("idle_minutes", "span_minutes"),
    [
        # Too few to conclude from.
        ([10] * (COUNT_MIN - 1), None),
        # Every ten minutes: from 9 (the bin less a tenth) to 12.1 (its end and a tenth).
        ([10] * 8, (9.0, 12.1)),
        # Requests that mostly follow at once: the pod stays from the beginning.
        ([0.5] * 90 + [5] * 10, (0.0, 6.6)),
        # One outlier among a hundred is above the 99th percentile, two are not.
        ([10] * 100 + [200], (9.0, 12.1)),
        ([10] * 98 + [200] * 2, (9.0, 221.1)),
        # Half of them beyond four hours: still; more than half: nothing.
        ([30] * 10 + [300] * 10, (27.0, 34.1)),
        ([30] * 10 + [300] * 11, None),
        # Evenly spread over four hours: no pattern.
        (list(range(240)), None),
    ],
)
def test_what_idle_times_tell(idle_minutes, span_minutes):
    span = times_of(*idle_minutes).span_s()
    if span_minutes is None:
        assert span is None
    else:
        assert span == pytest.approx([minutes * 60 for minutes in span_minutes])


def test_a_pod_is_wanted_from_head_to_tail_of_the_idle_time():
    times = times_of(*[10] * 8)
    assert not times.wants_pod(1000.0)
    times.see(1000.0, is_loaded=False)
    assert times.changes_at(1000.0) == 1000.0 + 540
    assert not times.wants_pod(1000.0 + 539)
    assert times.wants_pod(1000.0 + 540)
    assert times.changes_at(1000.0 + 540) == pytest.approx(1000.0 + 726)
    assert not times.wants_pod(1000.0 + 727)
    assert times.changes_at(1000.0 + 727) == math.inf


def test_the_idle_time_ends_with_load_and_is_counted():
    times = times_of(*[10] * 7)
    times.see(0.0, is_loaded=True)
    times.see(100.0, is_loaded=False)
    times.see(400.0, is_loaded=False)
    assert times.span_s() is None
    times.see(700.0, is_loaded=True)
    assert times.span_s() is not None
    assert times.idle_since is None
    assert not times.wants_pod(700.0 + 600)


def test_pauses_of_less_than_a_second_are_no_idle_times():
    assert times_of(*[0.001] * 50).dump() == IdleTimes().dump()


def test_counts_stay_within_16_bits_and_old_ones_fade():
    times = IdleTimes()
    for _ in range(2 * COUNT_LIMIT):
        times.count(60.0)
    for _ in range(COUNT_LIMIT):
        times.count(600.0)
    assert max(times.dump()["counts"]) <= COUNT_LIMIT
    assert times.span_s()[1] == pytest.approx(11 * 60 * 1.1)


@pytest.mark.parametrize("idle_minutes", [[], [10] * 9, [0, 1, 239, 250, 900]])
def test_they_survive_a_restart(idle_minutes):
    times = times_of(*idle_minutes)
    again = IdleTimes.load(times.dump())
    assert again.dump() == times.dump()
    assert again.span_s() == times.span_s()


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"bins": [1], "counts": [], "beyond": [0]},
        {"bins": [BINS], "counts": [1], "beyond": [0]},
        {"bins": [0], "counts": [COUNT_LIMIT + 1], "beyond": [0]},
        {"bins": [0], "counts": [-1], "beyond": [0]},
    ],
)
def test_what_never_was_a_histogram_is_refused(kept):
    with pytest.raises(ValueError):
        IdleTimes.load(kept)
