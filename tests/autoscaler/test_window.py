"""The ring of one-second buckets: averages, gaps, late data, resizing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.window import Window


def filled(size_s, values, start=100):
    window = Window(size_s)
    for offset, value in enumerate(values):
        if value is not None:
            window.record(start + offset, value)
    return window


def test_a_new_window_is_empty_and_averages_zero():
    window = Window(6)
    assert window.is_empty(100.0)
    assert window.average(100.0) == 0
    assert window.weighted_average(100.0) == 0


def test_the_average_of_a_young_window_is_over_the_seconds_it_has():
    assert filled(60, [10, 20]).average(101.9) == 15


def test_the_average_of_a_full_window_forgets_the_oldest_second():
    assert filled(3, [90, 1, 2, 3]).average(103.0) == 2


def test_values_of_one_second_add_up():
    window = Window(6)
    window.record(100.1, 2.0)
    window.record(100.9, 3.0)
    assert window.average(100.99) == 5


def test_gaps_between_recorded_seconds_count_as_zero():
    assert filled(6, [6, None, None, 6]).average(103.0) == 3


def test_trailing_seconds_without_data_are_left_out():
    window = filled(6, [5] * 6)
    assert window.average(108.0) == 5
    assert window.average(110.9) == 5
    assert window.average(111.0) == 0


def test_expired_seconds_leave_the_average_as_time_goes():
    window = filled(4, [8, 8, 2, 2])
    assert window.average(103.0) == 5
    assert window.average(105.0) == 2


def test_a_window_is_empty_once_nothing_in_it_was_recorded():
    window = filled(6, [1])
    assert not window.is_empty(105.9)
    assert window.is_empty(106.0)


def test_a_gap_as_long_as_the_window_starts_anew():
    window = filled(6, [100])
    window.record(106.0, 2.0)
    assert window.average(106.0) == 2


def test_late_data_goes_where_it_belongs_and_too_late_data_is_dropped():
    window = filled(4, [1, 1, 1, 1])
    window.record(101.0, 4.0)
    assert window.average(103.0) == 2
    window.record(99.0, 1000.0)
    assert window.average(103.0) == 2


def test_late_data_before_the_first_second_makes_the_window_older():
    window = Window(6)
    window.record(102.0, 6.0)
    window.record(100.0, 3.0)
    assert window.average(102.0) == 3


def test_averages_are_cut_to_six_decimals_so_that_residues_vanish():
    window = Window(60)
    for second in range(600):
        window.record(second, 0.1)
    for second in range(600, 660):
        window.record(second, 0.0)
    assert window.average(659.0) == 0
    assert filled(3, [1, 0, 0]).average(102.0) == 0.333333


@pytest.mark.parametrize(
    ("size_s", "values", "now", "expected"),
    [
        (6, [10], 100.0, 10 * 0.7845),
        (60, [10], 100.0, 2.0),
        (60, [10, 10], 101.0, 2.0 + 1.6),
        (60, [10], 103.0, 2.0 * 0.8**3),
    ],
)
def test_the_exponential_average_is_not_normalised_and_counts_missing_seconds(size_s, values, now, expected):
    assert filled(size_s, values).weighted_average(now) == pytest.approx(expected, rel=1e-3)


def test_resizing_keeps_the_newest_seconds_that_fit():
    window = filled(6, [1, 2, 3, 4, 5, 6])
    window.resize(2)
    assert window.size_s == 2
    assert window.average(105.0) == 5.5
    window.resize(10)
    window.record(106.0, 7.0)
    assert window.average(106.0) == 6
    window.resize(10)
    assert window.average(106.0) == 6


def test_resizing_an_empty_window():
    window = Window(6)
    window.resize(60)
    assert window.is_empty(0.0)
    assert window.size_s == 60


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 15), st.floats(0, 1e6)), max_size=60),
    st.integers(0, 40),
)
def test_the_ring_equals_a_list_of_all_seconds(size, steps, ahead):
    window, model, now = Window(size), {}, 1000
    for gap, value in steps:
        now += gap
        if model and now - max(model) >= size:
            model.clear()
        window.record(now, value)
        model[now] = model.get(now, 0.0) + value
    at = now + ahead
    assert window.average(at) == pytest.approx(model_average(model, size, at), abs=1e-4, rel=1e-6)
    assert 0 <= window.weighted_average(at) <= sum(model.values()) + 1e-6


def model_average(model, size, at):
    if not model or at - max(model) >= size:
        return 0.0
    first = max(min(model), at - size + 1)
    total = sum(value for second, value in model.items() if second > at - size)
    return total / (max(model) - first + 1)
