"""Who counts, who waits, who is asked: tables of gateways, of what they tell, and of what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.programming import NO_ANSWER, NO_GATEWAY, SILENT_S, WAITING, Programming
from tidegate.contracts.programmed import NOTHING, Versions

SEVEN = Versions(7)


def state(told=None, *, silent=()):
    """`told`: the routes' version that each ready gateway told, None of one that was not heard yet."""
    made = Programming[str]()
    if told is not None:
        made.set_ready(told)
        for address, version in told.items():
            if version is not None:
                made.answered(address, Versions(version, 99))
        for address in silent:
            made.was_silent(address, 0.0)
    return made


@pytest.mark.parametrize(
    ("told", "silent", "now", "obstacle"),
    [
        (None, (), 0.0, WAITING),  # the gateways are not listed yet
        ({}, (), 0.0, NO_GATEWAY),
        ({"a": None}, (), 0.0, WAITING),
        ({"a": 6}, (), 0.0, WAITING),
        ({"a": 7}, (), 0.0, ""),
        ({"a": 8}, (), 0.0, ""),
        ({"a": 7, "b": 6}, (), 0.0, WAITING),
        ({"a": 7, "b": 7}, (), 0.0, ""),
        ({"a": 7, "b": 6}, ("b",), SILENT_S - 1, WAITING),
        ({"a": 7, "b": 6}, ("b",), SILENT_S, ""),  # Kubernetes calls b ready still, but it is dead
        ({"a": 6, "b": 7}, ("b",), SILENT_S, WAITING),
        ({"a": 7, "b": 7}, ("a", "b"), SILENT_S, NO_ANSWER),  # then nobody knows what they serve
        ({"a": 7}, ("a",), SILENT_S - 1, ""),
    ],
)
def test_what_is_in_the_way(told, silent, now, obstacle):
    assert state(told, silent=silent).obstacle(SEVEN, now) == obstacle


def test_routes_and_mappings_are_compared_each_with_their_own():
    made = state({"a": 7})
    assert made.obstacle(Versions(7, 99), 0.0) == ""
    assert made.obstacle(Versions(7, 100), 0.0) == WAITING
    assert made.obstacle(Versions(8, 1), 0.0) == WAITING


def test_one_answer_serves_all_who_wait_for_that_or_less():
    made = state({"a": 1, "b": 1})
    for version in (5, 7, 9):
        made.want(f"route-{version}", Versions(version))
    assert made.questions() == {"a": Versions(9), "b": Versions(9)}
    assert made.news(0.0) == set()
    made.answered("a", Versions(9))
    assert (made.news(0.0), made.questions()) == (set(), {"b": Versions(9)})
    made.answered("b", Versions(7))
    assert made.news(0.0) == {"route-5", "route-7"}
    assert made.news(0.0) == set(), "told once"
    assert len(made) == 1


def test_a_key_that_is_written_again_waits_for_the_later_version():
    made = state({"a": 1})
    made.want("hello", Versions(5))
    made.want("hello", Versions(8))
    made.answered("a", Versions(5))
    assert made.news(0.0) == set()
    made.answered("a", Versions(8))
    assert made.news(0.0) == {"hello"}


def test_nobody_is_asked_while_nobody_waits():
    made = state({"a": None, "b": 3})
    assert made.questions() == {}
    made.want("hello", Versions(3))
    assert made.questions() == {"a": Versions(3)}


def test_a_gateway_that_goes_holds_nobody_up_and_one_that_comes_is_asked():
    made = state({"a": 7, "b": 1})
    made.want("hello", SEVEN)
    made.set_ready({"a"})
    assert made.news(0.0) == {"hello"}
    made.set_ready({"a", "b"})
    made.want("other", SEVEN)
    assert made.questions() == {"b": SEVEN}, "it may be another process by now"
    assert made.obstacle(SEVEN, 0.0) == WAITING


def test_all_who_wait_are_looked_at_when_there_is_no_gateway_any_more_and_again_when_there_is():
    made = state({"a": 1})
    made.want("hello", SEVEN)
    assert made.news(0.0) == set()
    made.set_ready(())
    assert made.news(0.0) == {"hello"}
    assert made.news(0.0) == set()
    made.set_ready({"b"})
    assert made.news(0.0) == {"hello"}
    made.answered("b", SEVEN)
    assert made.news(0.0) == {"hello"}


def test_a_silent_gateway_is_asked_until_it_tells_and_its_passing_over_is_told_once():
    made = state({"a": 7, "b": 7})
    made.want("hello", SEVEN)
    assert made.news(0.0) == {"hello"}
    assert made.was_silent("b", 0.0) is False
    assert made.questions() == {"b": NOTHING}
    assert [made.was_silent("b", now) for now in (30.0, 60.0, 61.0)] == [False, True, False]
    assert made.obstacle(Versions(8), 61.0) == WAITING
    made.answered("a", Versions(8))
    assert made.obstacle(Versions(8), 61.0) == ""
    made.answered("b", SEVEN)
    assert made.questions() == {}
    assert made.obstacle(Versions(8), 61.0) == WAITING, "it is there again, and counts"


def test_what_is_told_of_a_gateway_that_is_not_ready_is_nothing():
    made = state({"a": 7})
    made.answered("b", Versions(1))
    assert made.was_silent("b", 0.0) is False
    assert made.obstacle(SEVEN, 100.0) == ""


@given(
    told=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), min_size=1),
    wanted=st.dictionaries(st.text("xyz", min_size=1, max_size=2), st.integers(0, 9)),
)
def test_who_waits_no_longer_and_who_still_does_are_everybody(told, wanted):
    made = state(told)
    for key, version in wanted.items():
        made.want(key, Versions(version))
    made.news(0.0)
    assert len(made) == sum(version > min(told.values()) for version in wanted.values())
    newest = max(wanted.values(), default=0)
    asked = {address for address, version in told.items() if version < newest}
    assert set(made.questions()) == (asked if len(made) else set())


def test_who_is_gone_waits_for_nothing_and_nothing_is_asked_for_it():
    made = state({"a": 1})
    made.want("gone", SEVEN)
    made.news(0.0)
    made.forget("gone")
    made.forget("never there")
    assert (len(made), made.questions()) == (0, {})
    made.answered("a", SEVEN)
    assert made.news(0.0) == set()
    made.want("fresh", Versions(9))
    made.forget("fresh")
    assert made.news(0.0) == set()


STEPS = st.one_of(
    st.tuples(st.just("want"), st.sampled_from("xyz"), st.integers(0, 5)),
    st.tuples(st.just("answered"), st.sampled_from("ab"), st.integers(0, 5)),
    st.tuples(st.just("silent"), st.sampled_from("ab"), st.just(0)),
    st.tuples(st.just("ready"), st.sampled_from(["", "a", "b", "ab"]), st.just(0)),
    st.tuples(st.just("later"), st.just(""), st.integers(1, 90)),
    st.tuples(st.just("forget"), st.sampled_from("xyz"), st.just(0)),
)


@given(steps=st.lists(STEPS, max_size=30))
def test_after_every_step_nobody_waits_for_what_is_everywhere_and_who_still_waits_is_asked_for(steps):
    """Looks only at what a step can have changed, but must find all that a look at everything finds."""
    made, waiting, now = Programming[str](), {}, 0.0
    made.set_ready(["a"])
    for what, name, number in steps:
        if what == "want":
            made.want(name, Versions(number))
            waiting[name] = Versions(number)
        elif what == "answered":
            made.answered(name, Versions(number))
        elif what == "silent":
            made.was_silent(name, now)
        elif what == "ready":
            made.set_ready(name)
        elif what == "later":
            now += number
        else:
            made.forget(name)
            waiting.pop(name, None)
        done = {key for key, wanted in waiting.items() if not made.obstacle(wanted, now)}
        news = made.news(now)
        assert done <= news <= waiting.keys()
        waiting = {key: wanted for key, wanted in waiting.items() if key not in done}
        assert len(made) == len(waiting)
        for asked in made.questions().values():
            assert all(asked.covers(wanted) for wanted in waiting.values())
