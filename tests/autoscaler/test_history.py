"""What is remembered of decisions: what is new, bounded for each revision and for all together."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.decide import decide
from autoscaler.history import History
from autoscaler.state import Observation, fresh
from tidegate.contracts.autoscaling import ScalingSpec

BASE, _ = decide(ScalingSpec(), Observation(namespace="default", revision="app"), fresh(0.0), 0.0)


def decision(desired, name="app", **more):
    return msgspec.structs.replace(BASE, desired=desired, revision=name, **more)


def test_what_says_the_same_takes_the_place_of_the_last():
    history, key = History(), ("default", "app")
    history.keep(key, decision(1, stable_value=1.0))
    history.patched(decision(1), 1234.0)
    history.keep(key, decision(1, stable_value=2.0))
    (one,) = history.of(key)
    assert (one.stable_value, one.patched_unix_s) == (2.0, 1234.0)
    history.keep(key, decision(2))
    history.keep(key, decision(2, is_poked=True))
    assert [entry.desired for entry in history.of(key)] == [1, 2, 2]
    assert len(history) == 3


def test_the_scale_written_is_noted_where_it_was_asked_for():
    history, key = History(), ("default", "app")
    for desired in (1, 2, 1):
        history.keep(key, decision(desired))
    history.patched(decision(2), 10.0)
    history.patched(decision(7), 20.0)
    assert [entry.patched_unix_s for entry in history.of(key)] == [0.0, 10.0, 0.0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 9)), max_size=200))
def test_never_more_than_allowed_and_the_newest_are_there(steps):
    history = History(ring_length=5, total_limit=12)
    for app, desired, forget in steps:
        key = ("default", f"app-{app}")
        if forget == 0:
            history.forget(key)
            assert history.of(key) == []
            continue
        history.keep(key, decision(desired, key[1]))
        assert history.last(key).desired == desired
        rings = [history.of(("default", f"app-{number}")) for number in range(4)]
        assert len(history) == sum(map(len, rings)) <= 12
        assert max(map(len, rings)) <= 5
        assert len(history._order) <= 24


@pytest.mark.parametrize("limit", [1, 2])
def test_the_oldest_of_all_leave_first(limit):
    history = History(total_limit=limit)
    for number in range(5):
        history.keep(("default", f"app-{number}"), decision(number, f"app-{number}"))
    kept = [number for number in range(5) if history.of(("default", f"app-{number}"))]
    assert kept == list(range(5))[-limit:]
