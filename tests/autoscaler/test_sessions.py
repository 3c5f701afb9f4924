"""Which reports count: each at most once, in order, none that was held up for long, and no session twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.sessions import STALE_S, Session, Sessions, Verdict

WHO = ("queueproxy", "pod-1", "default", "app-00001")


@given(st.lists(st.integers(0, 20), max_size=60))
def test_however_they_are_repeated_and_mixed_each_counts_once_and_in_order(sequences):
    session = Session("one", 100.0)
    taken = [number for number in sequences if session.judge(number, 0.0, 100.0) is Verdict.TAKEN]
    assert taken == sorted(set(taken))
    highest = -1
    for number in sequences:
        if number > highest:
            assert number in taken
            highest = number


@given(st.lists(st.tuples(st.floats(0.1, 2), st.floats(0, 10)), min_size=1, max_size=50))
def test_what_is_taken_was_never_held_up_for_long(steps):
    """Reports made every so often, each held up for a while of its own; some were told in time before."""
    session, made_s, arrived_at = Session("one", 100.0), 0.0, 100.0
    least_s = float("inf")
    for number, (gap_s, held_s) in enumerate(steps):
        made_s += gap_s
        arrived_at = max(arrived_at, 100.0 + made_s + held_s)  # one connection keeps the order
        really_held_s = arrived_at - 100.0 - made_s
        least_s = min(least_s, really_held_s)
        verdict = session.judge(number, made_s, arrived_at)
        forgiven_s = 0.001 * (arrived_at - 100.0)
        if really_held_s - least_s > STALE_S + forgiven_s + 1e-6:
            assert verdict is Verdict.STALE
        if really_held_s - least_s <= STALE_S:
            assert verdict is Verdict.TAKEN


@pytest.mark.parametrize("drift", [-0.0005, 0.0005])
def test_clocks_may_drift_apart_for_days(drift):
    session = Session("one", 0.0)
    for minute in range(1, 3 * 24 * 60):
        assert session.judge(minute, minute * 60.0, minute * 60.0 * (1 + drift)) is Verdict.TAKEN


def test_a_peer_that_tells_no_age_is_never_stale():
    session = Session("", 0.0)
    assert session.judge(1, 0.0, 1000.0) is Verdict.TAKEN


def test_a_session_never_speaks_again():
    sessions = Sessions()
    first = sessions.begin(WHO, "one", 0.0)
    assert first
    assert sessions.begin(WHO, "one", 1.0) is None
    sessions.end(WHO, first)
    assert first.is_over
    assert sessions.begin(WHO, "one", 2.0) is None
    assert sessions.begin(WHO, "two", 3.0)


def test_a_newer_session_replaces_the_one_before():
    sessions = Sessions()
    first, second = sessions.begin(WHO, "one", 0.0), sessions.begin(WHO, "two", 1.0)
    assert first.is_over
    sessions.end(WHO, first)
    assert not second.is_over
    assert sessions.begin(WHO, "one", 2.0) is None


def test_sessions_without_a_number_are_never_taken_for_repetitions():
    sessions = Sessions()
    first = sessions.begin(WHO, "", 0.0)
    sessions.end(WHO, first)
    assert sessions.begin(WHO, "", 1.0)


def test_what_is_remembered_is_bounded():
    sessions = Sessions(ended_limit=10)
    for number in range(100):
        session = sessions.begin(WHO, str(number), 0.0)
        sessions.end(WHO, session)
    assert len(sessions._ended) == 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=60))
def test_no_number_is_ever_accepted_twice(steps):
    sessions, accepted, living = Sessions(), [], {}
    for who, number, is_end in steps:
        if is_end and who in living:
            sessions.end(who, living.pop(who))
        session = sessions.begin(who, f"{who}{number}", 0.0)
        if session is not None:
            accepted.append((who, number))
            living[who] = session
    assert len(accepted) == len(set(accepted))
