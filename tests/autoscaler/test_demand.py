"""Reports become load: each request once, jitter smoothed, silence and loss told apart."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.demand import Book, Demand, Key
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.report import HISTORY_S, History, Report

KEY = ("default", "hello-00001")
SPEC = ScalingSpec(stable_window_s=60.0, panic_window_s=6.0, other_metric="rps")


def report(sequence, concurrency=0.0, interval_s=1.0, **more):
    return Report(*KEY, sequence, interval_s, concurrency, **more)


class Named(Demand):
    """Demand whose sources have names; an activator opens its rows with its first report."""

    def __init__(self):
        super().__init__()
        self.pods: dict[str, int] = {}
        self.books: dict[str, Book] = {}
        self.configure(KEY, SPEC)

    def open(self, name: str, key: Key, now: float) -> None:
        self.pods[name] = super().open(key, now)

    def report(self, name: str, said: Report, now: float) -> None:
        key = (said.namespace, said.revision)
        row = self.pods.get(name)
        if row is None:
            book = self.books.setdefault(name, {})
            row = book[key] if key in book else self.open_for(book, key, now)
        self.sources.take(row, said, now)

    def leave(self, name: str) -> None:
        self.close(self.pods.pop(name))


@pytest.fixture
def demand():
    return Named()


def test_without_reports_there_is_no_data(demand):
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) is None
    assert demand.averages(("default", "other"), "concurrency", 100.5) is None


def test_a_connected_and_silent_queueproxy_is_zero_load(demand):
    demand.open("pod", KEY, 100.0)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.6) == (0.0, 0.0)


def test_a_silent_activator_is_not_asked(demand):
    demand.report("activator", report(1, 0.0), 100.0)
    demand.record(100.5)
    demand.record(101.5)
    assert demand.is_silent(KEY)


def test_sources_add_up_and_proxied_requests_count_once(demand):
    demand.open("pod", KEY, 99.0)
    for second in range(100, 106):
        demand.report("pod", report(second, 5.0, proxied_concurrency=3.0, requests=50, proxied_requests=30), second)
        demand.report("activator", report(second, 3.0, requests=30), second + 0.2)
        demand.record(second + 0.5)
    assert demand.averages(KEY, "concurrency", 105.6) == (5.0, 5.0)
    assert demand.averages(KEY, "rps", 105.6) == (50.0, 50.0)


def test_two_reports_in_one_second_do_not_double_the_load(demand):
    demand.open("pod", KEY, 99.0)
    arrivals = [100.4, 101.4, 102.6, 103.4, 104.6, 105.4]  # around the tick at .5: one, one, none, two, ...
    for number, at in enumerate(arrivals):
        while demand_time(demand) + 1 < at:
            demand.record(demand_time(demand) + 1)
        demand.report("pod", report(number, 5.0), at)
    demand.record(105.5)
    assert demand.averages(KEY, "concurrency", 105.5) == (5.0, 5.0)


def demand_time(demand):
    return demand._recorded_at or 99.5


def test_a_lost_report_is_bridged_for_a_short_while(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 4.0), 100.0)
    seen = []
    for second in range(100, 105):
        demand.record(second + 0.5)
        seen.append(demand.averages(KEY, "concurrency", second + 0.5)[0])
    assert seen[:2] == [4.0, 4.0]
    assert seen[2] < 4.0


def test_a_zero_report_ends_the_load_at_once(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 4.0), 100.0)
    demand.record(100.5)
    demand.report("pod", report(2, 0.0), 101.0)
    demand.record(101.5)
    assert demand.averages(KEY, "concurrency", 101.5) == (2.0, 2.0)


def test_a_short_report_counts_with_its_mean_but_its_arrivals_per_second(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 10.0, interval_s=0.1, requests=9), 100.0)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) == (10.0, 10.0)
    assert demand.averages(KEY, "rps", 100.5) == (10.0, 10.0)


def test_a_long_report_counts_with_its_mean_and_not_with_its_sum(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 3.0, interval_s=30.0), 100.0)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) == (3.0, 3.0)


def test_a_lost_connection_counts_no_more(demand):
    demand.open("one", KEY, 99.0)
    demand.open("two", KEY, 99.0)
    for second in range(100, 103):
        demand.report("one", report(second, 2.0), second)
        demand.report("two", report(second, 3.0), second)
        demand.record(second + 0.5)
    demand.leave("two")
    demand.report("one", report(103, 2.0), 103.0)
    demand.record(103.5)
    assert demand.averages(KEY, "concurrency", 103.5) == (4.25, 4.25)
    demand.leave("one")
    assert demand.is_silent(KEY)


def test_what_waits_stands_in_until_the_first_report_that_covers_time(demand):
    first = report(1, interval_s=0.0, in_flight=3, is_first=True)
    demand.report("activator", first, 100.0)
    assert demand.waiting(KEY, 100.0) == 3
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) == (3.0, 3.0)
    demand.report("activator", report(2, 7.0, in_flight=9), 101.0)
    demand.record(101.5)
    assert demand.averages(KEY, "concurrency", 101.5) == (5.0, 5.0)
    assert demand.waiting(KEY, 101.0) == 9
    assert demand.waiting(KEY, 110.0) == 0
    assert demand.waiting(("default", "other"), 101.0) == 0


def test_a_report_of_a_pod_that_covers_no_time_says_nothing(demand):
    """What the pod has in flight then may be the activator's, which tells of it."""
    demand.open("pod", KEY, 99.0)
    demand.report("activator", report(1, 10.0, in_flight=10), 100.0)
    demand.report("pod", report(1, 10.0, proxied_concurrency=10.0, in_flight=10), 100.1)
    demand.report("pod", report(2, 10.0, interval_s=0.0, proxied_concurrency=10.0, in_flight=10), 100.1)
    demand.record(100.5)
    demand.report("activator", report(2, 10.0, in_flight=10), 101.0)
    demand.record(101.5)
    assert demand.averages(KEY, "concurrency", 101.5) == (10.0, 10.0)


def test_requests_in_a_pod_do_not_wait(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 2.0, in_flight=2), 100.0)
    assert demand.waiting(KEY, 100.0) == 0


def test_a_stalled_recorder_fills_the_seconds_it_missed(demand):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 2.0), 100.0)
    demand.record(100.5)
    demand.report("pod", report(2, 2.0), 104.0)
    demand.record(104.5)
    assert demand.averages(KEY, "concurrency", 104.5) == (2.0, 2.0)
    demand.record(104.9)
    assert demand.averages(KEY, "concurrency", 104.9) == (2.0, 2.0)


def test_the_current_second_never_reads_as_missing(demand):
    demand.configure(KEY, ScalingSpec(stable_window_s=6.0, panic_window_s=1.0))
    demand.open("pod", KEY, 99.0)
    demand.report("pod", report(1, 2.0), 100.0)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 101.4) == (2.0, 2.0)


def test_windows_change_their_length_and_keep_their_data(demand):
    demand.open("pod", KEY, 99.0)
    for second in range(100, 160):
        demand.report("pod", report(second, 2.0), second)
        demand.record(second + 0.5)
    demand.configure(KEY, ScalingSpec(stable_window_s=6.0, panic_window_s=1.0, algorithm="weighted-exponential"))
    stable, panic = demand.averages(KEY, "concurrency", 159.6)
    assert stable == pytest.approx(2.0, rel=1e-3)
    assert panic == pytest.approx(2.0, rel=1e-3)


def test_a_forgotten_revision_leaves_nothing_behind(demand):
    demand.open("pod", KEY, 99.0)
    demand.forget(KEY)
    demand.report("pod", report(1, 2.0), 100.0)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) is None
    demand.leave("pod")
    demand.forget(KEY)
    assert not demand._slots
    assert not demand._reporting.any()


@pytest.mark.parametrize(
    "wrong",
    [
        report(1, math.nan),
        report(1, -1.0),
        report(1, math.inf),
        report(1, 1.0, interval_s=-1.0),
        report(1, 1.0, interval_s=math.nan),
        report(1, 1.0, interval_s=1e9),
        report(1, 1.0, requests=-1),
        report(1, 1.0, proxied_concurrency=math.nan),
        report(1, 1.0, proxied_requests=-1),
        report(1, 1.0, in_flight=-1),
    ],
)
def test_what_cannot_be_a_measurement_is_dropped(demand, wrong):
    demand.open("pod", KEY, 99.0)
    demand.report("pod", wrong, 100.0)
    demand.record(100.5)
    assert demand.sources.implausible == 1
    assert demand.averages(KEY, "concurrency", 100.5) == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0.0, 1.5), st.floats(0, 100), st.booleans()), max_size=40))
def test_recorded_load_is_never_negative_and_never_above_what_was_reported(steps):
    demand = Named()
    demand.open("pod", KEY, 100.0)
    now, highest = 100.0, 0.0
    for number, (gap_s, concurrency, is_tick) in enumerate(steps):
        now += gap_s
        highest = max(highest, concurrency)
        demand.report("pod", report(number, concurrency, interval_s=gap_s), now)
        if is_tick:
            demand.record(now)
            stable, panic = demand.averages(KEY, "concurrency", now) or (0.0, 0.0)
            assert 0 <= stable <= highest + 1e-6
            assert 0 <= panic <= highest + 1e-6


def test_a_source_that_has_just_found_us_tells_what_it_saw_before(demand):
    """After a restart the average is that of the whole window again, not that of the first second."""
    demand.open("pod", KEY, 100.0)
    assert demand.tell("pod", History(*KEY, [6.0] * 59, [1.0] * 59), 100.2)
    demand.report("pod", report(1, 0.0), 100.4)
    demand.record(100.5)
    assert demand.averages(KEY, "concurrency", 100.5) == (5.9, 5.0)
    assert demand.averages(KEY, "rps", 100.5)[0] == pytest.approx(59 / 60, abs=1e-6)


def test_histories_add_up_and_count_once_and_never_over_our_own_record(demand):
    demand.open("one", KEY, 100.0)
    demand.tell("one", History(*KEY, [2.0] * 10, [0.0] * 10), 100.0)
    demand.tell("one", History(*KEY, [2.0] * 10, [0.0] * 10), 100.1)
    demand.tell("two", History(*KEY, [3.0] * 10, [0.0] * 10), 100.2)
    assert demand.averages(KEY, "concurrency", 99.0) == (5.0, 5.0)
    demand.report("one", report(1, 5.0), 100.4)
    for second in range(100, 110):
        demand.record(second + 0.5)
        demand.report("one", report(second, 5.0), second + 1.0)
    before = demand.averages(KEY, "concurrency", 109.5)
    demand.tell("three", History(*KEY, [9.0] * 10, [0.0] * 10), 110.0)
    assert demand.averages(KEY, "concurrency", 109.5) == before


def test_a_history_too_late_to_matter_is_not_heard(demand):
    demand.open("one", KEY, 100.0)
    demand.record(100.5)
    demand.tell("late", History(*KEY, [9.0] * HISTORY_S, [0.0] * HISTORY_S), 101.0 + HISTORY_S)
    assert demand.averages(KEY, "concurrency", 100.5) == (0.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        History(*KEY, [1.0], []),
        History(*KEY, [-1.0], [0.0]),
        History(*KEY, [math.nan], [0.0]),
        History(*KEY, [0.0] * (HISTORY_S + 1), [0.0] * (HISTORY_S + 1)),
    ],
)
def test_a_history_that_cannot_be_is_dropped(demand, wrong):
    assert not demand.tell("pod", wrong, 100.0)
    assert demand.averages(KEY, "concurrency", 100.0) is None


def test_slots_and_rows_are_used_again(demand):
    for number in range(3000):
        key = ("default", f"app-{number:05d}")
        demand.open("pod", key, 99.0)
        demand.record(100.5 + number)
        demand.leave("pod")
    assert len(demand.keys) < 10
    assert demand.sources.size < 10
