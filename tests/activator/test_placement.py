"""Seats of one revision: longest waiter first, within each pod's concurrency, only while there are seats."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from activator.placement import Placement

A, B = ("10.0.0.1", 8012), ("10.0.0.2", 8012)


def placement_of(concurrency, waiters=0):
    placement: Placement[int] = Placement(concurrency, 100)
    for number in range(waiters):
        placement.room.enter(placement.room.ticket(), number, 300.0)
    return placement


def test_nobody_is_seated_without_pods():
    placement = placement_of(1, waiters=3)
    assert placement.admit(0.0) == []
    assert placement.seat(0.0) is None


def test_a_pod_gets_its_concurrency_and_the_rest_keeps_its_order():
    placement = placement_of(2, waiters=5)
    placement.replace_pods([A])
    assert [(waiter, pod) for _, waiter, pod in placement.admit(0.0)] == [(0, A), (1, A)]
    assert placement.admit(0.0) == []
    placement.leave(A)
    assert [waiter for _, waiter, _ in placement.admit(0.0)] == [2]
    placement.replace_pods([A, B])
    assert [(waiter, pod) for _, waiter, pod in placement.admit(0.0)] == [(3, B), (4, B)]


def test_without_limit_everybody_is_seated_evenly():
    placement = placement_of(0, waiters=50)
    placement.replace_pods([A, B])
    assert Counter(pod for *_, pod in placement.admit(0.0)) == {A: 25, B: 25}


def test_a_newcomer_does_not_pass_who_waits():
    placement = placement_of(1, waiters=1)
    placement.replace_pods([A])
    assert placement.seat(0.0) is None
    placement.admit(0.0)
    placement.leave(A)
    assert placement.seat(0.0) == A


def test_it_says_when_it_must_be_woken():
    placement = placement_of(1)
    placement.replace_pods([A])
    placement.pods.eject(A, 0.0)
    assert placement.next_wake() is None
    placement.room.enter(placement.room.ticket(), 1, 300.0)
    assert placement.next_wake() == 0.1
    assert [waiter for _, waiter, _ in placement.admit(0.1)] == [1]


def test_empty_means_nobody_waits_and_nothing_runs():
    placement = placement_of(1)
    assert placement.is_empty
    placement.replace_pods([A])
    placement.seat(0.0)
    assert not placement.is_empty
    placement.leave(A)
    assert placement.is_empty


def test_standby_pods_take_what_finds_no_place_within_the_same_concurrency():
    placement = placement_of(1, waiters=4)
    placement.replace_pods([A], standby=[B])
    assert [(waiter, pod) for _, waiter, pod in placement.admit(0.0)] == [(0, A), (1, B)]
    assert placement.stands_by(B) and not placement.stands_by(A)
    placement.leave(B)
    placement.leave(A)
    assert [(waiter, pod) for _, waiter, pod in placement.admit(0.0)] == [(2, A), (3, B)]


def test_without_limit_standby_pods_serve_only_while_there_is_no_other():
    placement = placement_of(0)
    placement.replace_pods([], standby=[B])
    assert placement.seat(0.0) == B
    placement.replace_pods([A], standby=[B])
    assert {placement.seat(0.0) for _ in range(5)} == {A}
    assert not placement.is_empty
    placement.leave(B)
    for _ in range(5):
        placement.leave(A)
    assert placement.is_empty


def test_a_standby_pod_that_refuses_is_set_aside():
    placement = placement_of(1)
    placement.replace_pods([], standby=[B])
    assert placement.seat(0.0) == B
    placement.refused(B, 0.0)
    assert placement.seat(0.05) is None
    placement.room.enter(placement.room.ticket(), 1, 300.0)
    assert placement.next_wake() == 0.1
    assert [pod for *_, pod in placement.admit(0.1)] == [B]
    placement.answered(B)


@given(st.lists(st.sampled_from(["take", "leave", "swap"]), max_size=40), st.integers(0, 2))
def test_seats_are_given_back_whatever_address_was_used_again(script: list[str], concurrency: int):
    # An address may come back on the other side while a request of its former pod is in flight.
    placement = placement_of(concurrency)
    sides = ([A], [B])
    placement.replace_pods(*sides)
    seated = []
    for step in script:
        if step == "take":
            pod = placement.seat(0.0)
            seated += [pod] if pod else []
        elif step == "leave" and seated:
            placement.leave(seated.pop(0))
        elif step == "swap":
            sides = sides[::-1]
            placement.replace_pods(*sides)
        assert placement.pods.in_flight + placement.standby.in_flight == len(seated)
    for pod in seated:
        placement.leave(pod)
    assert placement.is_empty
