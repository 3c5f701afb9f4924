"""Counting client connections: limits in all and by address, and who is told that there is no room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire.crowd import TOLD_LIMIT, Crowd


def test_no_limit():
    crowd = Crowd()
    assert all(crowd.enter("a") for _ in range(1000))
    assert crowd.open == 1000


def test_a_limit_in_all():
    crowd = Crowd(limit=2)
    assert [crowd.enter(peer) for peer in "abc"] == [True, True, False]
    crowd.leave("a")
    assert crowd.enter("c")


def test_a_limit_by_address():
    crowd = Crowd(per_peer_limit=2)
    assert [crowd.enter(peer) for peer in "aaba"] == [True, True, True, False]
    crowd.leave("a")
    assert crowd.enter("a")


def test_only_so_many_are_told():
    crowd = Crowd(limit=1)
    assert [crowd.refuse() for _ in range(TOLD_LIMIT + 1)] == [True] * TOLD_LIMIT + [False]
    crowd.told_left()
    assert crowd.refuse()
    assert crowd.refused == TOLD_LIMIT + 2


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_whoever_entered_leaves_nothing(steps):
    crowd, inside = Crowd(limit=5, per_peer_limit=3), []
    for is_coming, peer in steps:
        if is_coming and crowd.enter(peer):
            inside.append(peer)
        elif not is_coming and peer in inside:
            inside.remove(peer)
            crowd.leave(peer)
        assert crowd.open == len(inside) <= 5
        assert all(inside.count(name) <= 3 for name in "abc")
    for peer in inside:
        crowd.leave(peer)
    assert (crowd.open, crowd._by_peer) == (0, {})
