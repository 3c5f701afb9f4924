"""The batch plan as timelines, and its invariants under any order of events."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.batch_plan import Batch, BatchLimits, BatchPlan

K = "key"


def plan(**limits: float) -> BatchPlan:
    return BatchPlan(BatchLimits(**limits))  # type: ignore[arg-type]


def shape(batch: Batch | None) -> list[tuple[int, int, int]] | None:
    return None if batch is None else [(part.member, part.start, part.stop) for part in batch.parts]


def test_without_a_delay_a_batch_is_what_waits_already() -> None:
    made = plan(max_rows=8)
    made.offer(1, K, 1, now=0.0)
    assert shape(made.start(0.0)) == [(1, 0, 1)]
    for member in (2, 3, 4):
        made.offer(member, K, 2, now=0.001 * member)
    assert made.start(0.01) is None, "the only place is taken"
    made.finish(0.02)
    assert shape(made.start(0.02)) == [(2, 0, 2), (3, 0, 2), (4, 0, 2)]


def test_a_full_batch_starts_at_once_and_a_fuller_one_never() -> None:
    made = plan(max_rows=4, max_delay_s=1.0, is_adaptive=False)
    made.offer(1, K, 3, now=0.0)
    assert made.start(0.0) is None
    made.offer(2, K, 3, now=0.1)
    assert shape(made.start(0.1)) == [(1, 0, 3)], "four rows are the most: the second request waits for the next"
    assert made.waiting == 1


def test_the_oldest_waits_no_longer_than_the_delay() -> None:
    made = plan(max_rows=8, max_delay_s=0.5, is_adaptive=False, max_in_flight=9)
    made.offer(1, K, 1, now=10.0)
    made.offer(2, K, 1, now=10.4)
    assert made.wake_at() == 10.5
    assert made.start(10.49) is None
    assert shape(made.start(10.5)) == [(1, 0, 1), (2, 0, 1)]
    assert made.wake_at() is None


def test_a_lone_request_does_not_wait_and_a_crowd_does() -> None:
    made = plan(max_rows=8, max_delay_s=0.1, max_in_flight=9)
    made.offer(1, K, 1, now=0.0)
    assert shape(made.start(0.0)) == [(1, 0, 1)], "nobody came lately: there is no company to wait for"
    for member in range(2, 12):
        now = 5.0 + member / 1000
        made.offer(member, K, 1, now=now)
        while made.start(now) is not None:
            pass
    made.offer(99, K, 1, now=5.02)
    assert made.start(5.02) is None, "ten requests came within ten milliseconds"
    assert made.wake_at() is not None


def test_a_deadline_cuts_the_delay_by_what_a_batch_takes() -> None:
    made = plan(max_rows=8, max_delay_s=1.0, is_adaptive=False)
    made.offer(1, K, 8, now=0.0)
    made.start(0.0)
    made.finish(0.2)
    made.offer(2, K, 1, now=1.0, deadline=1.5)
    assert made.wake_at() == pytest.approx(1.3)
    assert shape(made.start(1.31)) == [(2, 0, 1)]


def test_what_is_late_never_runs() -> None:
    made = plan(max_rows=1)
    made.offer(1, K, 1, now=0.0)
    made.start(0.0)
    made.offer(2, "a", 1, now=0.0, deadline=1.0)
    made.offer(3, "b", 1, now=0.0, deadline=9.0)
    assert made.expire(0.5) == []
    assert made.expire(1.0) == [2]
    made.finish(1.0)
    assert shape(made.start(1.0)) == [(3, 0, 1)]


def test_keys_never_mix_and_the_oldest_goes_first() -> None:
    made = plan(max_rows=8)
    made.offer(0, "x", 1, now=0.0)
    made.start(0.0)
    for member, key in ((1, "a"), (2, "b"), (3, "a"), (4, "b")):
        made.offer(member, key, 1, now=float(member))
    made.finish(0.1)
    assert shape(made.start(9.0)) == [(1, 0, 1), (3, 0, 1)]
    made.finish(0.1)
    assert shape(made.start(9.0)) == [(2, 0, 1), (4, 0, 1)]


def test_a_request_larger_than_a_batch_is_cut_and_its_rest_takes_company() -> None:
    made = plan(max_rows=4, max_in_flight=3)
    made.offer(1, K, 10, now=0.0)
    made.offer(2, K, 2, now=0.0)
    assert [shape(made.start(0.0)) for _ in range(3)] == [
        [(1, 0, 4)],
        [(1, 4, 8)],
        [(1, 8, 10), (2, 0, 2)],
    ]


def test_what_free_places_will_take_does_not_count_as_waiting() -> None:
    made = plan(max_rows=2, max_in_flight=2, max_queue=1)
    assert [made.offer(member, K, 1, now=0.0) for member in range(6)] == [True] * 5 + [False]


def test_a_full_queue_says_so_and_a_place_comes_free_with_whoever_leaves() -> None:
    made = plan(max_rows=1, max_queue=2)
    made.offer(0, K, 1, now=0.0)
    made.start(0.0)
    assert [made.offer(member, K, 1, now=0.0) for member in (1, 2, 3)] == [True, True, False]
    made.leave(1)
    assert made.offer(4, K, 1, now=0.0)
    made.finish(0.1)
    assert shape(made.start(0.1)) == [(2, 0, 1)]


@pytest.mark.parametrize(
    "limits",
    [{"max_rows": 0}, {"max_in_flight": 0}, {"max_queue": 0}, {"max_delay_s": -1.0}, {"max_delay_s": math.inf}],
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="max_"):
        plan(**limits)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(1, 9), st.sampled_from("ab"), st.sampled_from([0.05, 0.3, math.inf])),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("start")),
        st.tuples(st.just("finish")),
        st.tuples(st.just("expire")),
    ),
    max_size=60,
)


@given(EVENTS, st.integers(1, 6), st.sampled_from([0.0, 0.1]), st.integers(1, 3))
def test_every_row_runs_once_or_its_request_left(
    events: list[tuple[object, ...]], size: int, delay_s: float, places: int
) -> None:
    made = plan(max_rows=size, max_delay_s=delay_s, max_in_flight=places, max_queue=10)
    rows: dict[int, int] = {}
    keys: dict[int, object] = {}
    ran: dict[int, list[tuple[int, int]]] = {}
    gone: set[int] = set()
    number, now = 0, 0.0

    def note(batch: Batch) -> None:
        assert 0 < batch.rows <= size
        for part in batch.parts:
            assert part.member not in gone, "who left never starts afterwards"
            assert keys[part.member] == batch.key
            ran.setdefault(part.member, []).append((part.start, part.stop))

    for event in events:
        now += 0.02
        match event:
            case ("offer", int(count), key, float(lasts)):
                number += 1
                if made.offer(number, key, count, now, now + lasts):
                    rows[number], keys[number] = count, key
            case ("leave", int(member)) if member <= number:
                made.leave(member)
                gone.add(member)
            case ("start",):
                if (batch := made.start(now)) is not None:
                    note(batch)
            case ("finish",) if made.in_flight:
                made.finish(0.01)
            case ("expire",):
                gone.update(made.expire(now))
        assert made.in_flight <= places
        assert made.waiting <= 10 + places * size
    while made.waiting or made.in_flight:
        now += 1.0
        while made.in_flight:
            made.finish(0.01)
        wake_at = made.wake_at()
        assert made.waiting == 0 or (wake_at is not None and wake_at <= now), "what waits is woken"
        while (batch := made.start(now)) is not None:
            note(batch)
    for member, count in rows.items():
        if member not in gone:
            assert sorted(ran[member]) == [(at, min(at + size, count)) for at in range(0, count, size)]
