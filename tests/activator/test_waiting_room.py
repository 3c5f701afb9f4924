"""The waiting room: a bounded FIFO that loses and reorders nobody, whoever leaves, is late or comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from activator.waiting_room import WaitingRoom


def room_of(names, capacity=10):
    room: WaitingRoom[str] = WaitingRoom(capacity)
    tickets = {}
    for number, name in enumerate(names):
        tickets[name] = room.ticket()
        assert room.enter(tickets[name], name, float(number + 1))
    return room, tickets


def drained(room):
    return [entry[1] for entry in iter(room.next, None)]


def test_first_in_first_out():
    room, _ = room_of("abc")
    assert len(room) == 3
    assert drained(room) == ["a", "b", "c"]
    assert room.next() is None


def test_a_full_room_turns_away():
    room, _ = room_of("ab", capacity=2)
    assert not room.enter(room.ticket(), "c", 9.0)
    room.next()
    assert room.enter(room.ticket(), "d", 9.0)
    assert drained(room) == ["b", "d"]


def test_who_abandons_leaves_no_gap():
    room, tickets = room_of("abc")
    room.abandon(tickets["b"])
    assert drained(room) == ["a", "c"]


def test_who_comes_back_stands_where_it_stood_even_in_a_full_room():
    room, tickets = room_of("abcd", capacity=4)
    for _ in range(3):
        room.next()
    assert room.enter(room.ticket(), "e", 9.0)
    for name in "cab":
        room.come_back(tickets[name], name, 9.0)
    assert drained(room) == ["a", "b", "c", "d", "e"]


def test_the_late_are_at_the_head():
    room, _ = room_of("abc")
    assert room.next_deadline() == 1.0
    assert room.expire(0.5) == []
    assert room.expire(2.0) == ["a", "b"]
    assert room.next_deadline() == 3.0
    assert room.expire(9.0) == ["c"]
    assert room.next_deadline() is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "next", "abandon", "back", "expire"]), st.integers(0, 30)), max_size=80
)


@given(capacity=st.integers(1, 6), steps=STEPS)
def test_any_script_loses_and_reorders_nobody(capacity, steps):
    room: WaitingRoom[int] = WaitingRoom(capacity)
    inside: list[int] = []  # tickets, which are also the waiters
    outside: list[int] = []
    for number, (action, value) in enumerate(steps):
        if action == "enter":
            ticket = room.ticket()
            if room.enter(ticket, ticket, deadline=float(ticket)):
                inside.append(ticket)
            else:
                assert len(inside) >= capacity
        elif action == "next":
            expected = min(inside, default=None)
            assert room.next() == (None if expected is None else (expected, expected))
            if expected is not None:
                inside.remove(expected)
                outside.append(expected)
        elif action == "abandon" and inside:
            room.abandon(inside.pop(value % len(inside)))
        elif action == "back" and outside:
            ticket = outside.pop(value % len(outside))
            room.come_back(ticket, ticket, float(ticket))
            inside.append(ticket)
        elif action == "expire":
            late = room.expire(number / 4)
            assert late == sorted(ticket for ticket in inside if ticket <= number / 4)
            inside = [ticket for ticket in inside if ticket not in late]
        assert len(room) == len(inside)
    assert drained(room) == sorted(inside)
