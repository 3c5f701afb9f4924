"""Decisions as rows of bytes: what was put in comes out, and rows that say the same are alike."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import decision_rows
from autoscaler.fleet_state import REASONS
from autoscaler.state import PODS_MAX
from tidegate.contracts.decision import Activity, Because, Decision, ServingMode

numbers = st.floats(0, 1e15) | st.sampled_from([0.0, 0.1, 7.000001, -1.0])
counts = st.integers(-1, 5) | st.just(PODS_MAX)
flags = st.booleans()
DECISIONS = st.builds(
    Decision,
    namespace=st.just("default"),
    revision=st.just("app"),
    sentence=st.just(""),
    next_change=st.just(""),
    because=st.sampled_from(list(Because)),
    metric=st.sampled_from(["concurrency", "rps"]),
    serving_mode=st.sampled_from(list(ServingMode)),
    activity=st.sampled_from(list(Activity)),
    activity_reason=st.sampled_from(REASONS),
    excess_burst_capacity=st.integers(-PODS_MAX, PODS_MAX),
    **dict.fromkeys(
        (
            "unix_s",
            "stable_value",
            "panic_value",
            "target",
            "total",
            "patched_unix_s",
            "next_change_s",
            "start_s",
        ),
        numbers,
    ),
    **dict.fromkeys(
        (
            "desired",
            "ready_pods",
            "not_ready_pods",
            "current_scale",
            "stable_pods",
            "panic_pods",
            "min_scale",
            "max_scale",
            "max_scale_up",
            "max_scale_down",
            "waiting",
            "starting_pods",
            "activators",
        ),
        counts,
    ),
    **dict.fromkeys(("is_panicking", "is_poked", "is_applied", "is_initialized"), flags),
)


@given(DECISIONS)
def test_a_decision_comes_out_as_it_was_put_in(decision):
    row = decision_rows.row_of(decision)
    assert len(row) == decision_rows.SIZE
    assert decision_rows.decision_of(row, "default", "app") == decision
    assert decision_rows.is_panicking(row) == decision.is_panicking


SAME = ("desired", "because", "is_applied", "ready_pods", "current_scale", "is_panicking", "serving_mode", "activity")


@given(DECISIONS, DECISIONS)
def test_rows_are_alike_where_a_reader_sees_no_difference(one, other):
    rows = decision_rows.row_of(one), decision_rows.row_of(other)
    same = all(getattr(one, name) == getattr(other, name) for name in SAME)
    assert decision_rows.is_alike(*rows) == (same and not other.is_poked)
    copy = msgspec.structs.replace(other, is_poked=False, **{name: getattr(one, name) for name in SAME})
    assert decision_rows.is_alike(rows[0], decision_rows.row_of(copy))


@given(DECISIONS, DECISIONS)
def test_what_takes_the_place_of_another_keeps_what_happened_to_it(one, other):
    row = decision_rows.in_place_of(decision_rows.row_of(one), decision_rows.row_of(other))
    expected = msgspec.structs.replace(other, patched_unix_s=one.patched_unix_s, is_poked=one.is_poked)
    assert decision_rows.decision_of(row, "default", "app") == expected


@given(DECISIONS, numbers, counts)
def test_a_patch_is_noted_once(decision, unix_s, desired):
    row = decision_rows.row_of(decision)
    assert decision_rows.asks_for(row, desired) == (decision.desired == desired and not decision.patched_unix_s)
    patched = decision_rows.patched(row, unix_s)
    assert decision_rows.decision_of(patched, "default", "app").patched_unix_s == unix_s


def test_more_waiting_requests_than_a_row_has_room_for_are_the_most_it_has():
    decision = msgspec.convert(
        {
            "namespace": "default",
            "revision": "app",
            "because": "load",
            "sentence": "",
            "metric": "rps",
            "serving_mode": "Proxy",
            "is_panicking": False,
            "waiting": 2**40,
            **dict.fromkeys(("unix_s", "stable_value", "panic_value", "target", "total"), 0.0),
            **dict.fromkeys(("desired", "ready_pods", "not_ready_pods", "current_scale", "stable_pods"), 1),
            **dict.fromkeys(("panic_pods", "min_scale", "max_scale", "max_scale_up", "max_scale_down"), 1),
            "excess_burst_capacity": 0,
        },
        Decision,
    )
    assert decision_rows.decision_of(decision_rows.row_of(decision), "default", "app").waiting == PODS_MAX
