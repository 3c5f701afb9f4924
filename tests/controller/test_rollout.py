"""Gradual rollout: the plan of steps, in virtual time. Times and shares are those of section "gradual rollout"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.reconcile import rollout
from controller.reconcile.rollout import Rollout, Target

NOW = 1_000_000.0


def target(revision="b", percent=100, tag=""):
    return Target(tag, "hello", revision, percent)


def settled(revision="a", percent=100, tag=""):
    return Rollout("hello", percent, ((revision, percent),), tag)


def advance(before, wanted, duration_s=60.0, known=("a", "b", "c"), now=NOW):
    (made,) = rollout.advance([before] if before else [], [wanted], duration_s, known, now)
    return made


def play(before, wanted, duration_s, until_s=1000.0, programming_s=0.0):
    """Return (seconds since the start, shares) of every change, driving it as the controller does."""
    seen, now, made = [], NOW, before
    while now <= NOW + until_s:
        changed = advance(made, wanted, duration_s, now=now)
        if changed.revisions != made.revisions:
            seen.append((round(now - NOW, 1), dict(changed.revisions)))
        first = not made.is_running and changed.is_running
        made = changed
        if not made.is_running:
            return seen
        now += max(programming_s, 0.01) if first else max(0.01, rollout.next_look_s([made], now))
    raise AssertionError(f"not done: {made}")


@pytest.mark.parametrize(
    ("before", "wanted", "duration_s"),
    [
        (None, target(), 60.0),  # nothing to take over from
        (settled(), target(), 0.0),  # no duration
        (settled(percent=1), target(percent=1), 60.0),  # one percent cannot be divided
        (settled(percent=100), target(percent=0), 60.0),
        (Rollout("hello", 100, (("a", 50), ("b", 49))), target("c"), 60.0),  # a state that does not add up
        (Rollout("hello", 120, (("a", 120),)), target("c"), 60.0),
        (settled(tag="other"), target(), 60.0),  # a tag of its own
    ],
)
def test_what_switches_at_once(before, wanted, duration_s):
    assert advance(before, wanted, duration_s).revisions == ((wanted.revision, wanted.percent),)


def test_it_begins_with_one_percent():
    made = advance(settled(), target())
    assert made.revisions == (("a", 99), ("b", 1))
    assert made.start_s == NOW
    assert not made.step_s


def test_ten_seconds_are_nine_steps_of_eleven_percent():
    seen = play(settled(), target(), 10.0)
    assert [shares.get("b") for _, shares in seen] == [1, 12, 23, 34, 45, 56, 67, 78, 89, 100]
    assert [at for at, _ in seen][1:] == [float(second) for second in range(1, 10)]


def test_a_step_is_not_shorter_than_programming_took():
    seen = play(settled(), target(), 60.0, programming_s=12.3)
    assert [shares.get("b") for _, shares in seen] == [1, 34, 67, 100]  # (60 - 13) / 13: three steps
    assert seen[-1] == (pytest.approx(59.3, abs=0.2), {"b": 100})


def test_a_long_rollout_moves_one_percent_at_a_time():
    seen = play(settled(), target(), 1000.0)
    assert [shares.get("b") for _, shares in seen] == list(range(1, 101))


def test_a_share_of_five_percent():
    seen = play(settled(percent=5), target(percent=5), 9.0)
    assert [shares for _, shares in seen] == [
        {"a": 4, "b": 1},
        {"a": 3, "b": 2},
        {"a": 2, "b": 3},
        {"a": 1, "b": 4},
        {"b": 5},
    ]
    assert [at for at, _ in seen] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_another_revision_in_the_middle_stacks_on_top():
    half = Rollout("hello", 100, (("a", 50), ("b", 50)), "", NOW - 30, NOW + 1, 1.0, 10)
    made = advance(half, target("c"))
    assert made.revisions == (("a", 50), ("b", 49), ("c", 1))
    assert (made.start_s, made.step_s) == (NOW, 0.0)
    shares = [shares for _, shares in play(half, target("c"), 6.0)]
    assert shares[:4] == [
        {"a": 50, "b": 49, "c": 1},
        {"a": 50, "b": 29, "c": 21},
        {"a": 50, "b": 9, "c": 41},
        {"a": 39, "c": 61},
    ]  # the second newest is drained first
    assert shares[-1] == {"c": 100}


def test_going_back_in_the_middle_keeps_what_the_old_one_has():
    half = Rollout("hello", 100, (("a", 70), ("b", 30)), "", NOW - 30, NOW + 1, 1.0, 10)
    assert advance(half, target("a")).revisions == (("b", 30), ("a", 70))


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(60, (("a", 10), ("b", 50))), (40, (("b", 40),)), (120 - 20, (("a", 50), ("b", 50))), (0, (("b", 0),))],
)
def test_another_percent_in_the_middle(percent, expected):
    """Raised: the newest gets more. Lowered: the oldest loses first."""
    half = Rollout("hello", 100, (("a", 50), ("b", 50)), "", NOW - 30, NOW + 9, 9.0, 10)
    assert advance(half, target(percent=percent)).revisions == expected


def test_a_raised_percent_goes_to_the_newest():
    half = Rollout("hello", 40, (("a", 30), ("b", 10)), "", NOW - 30, NOW + 9, 9.0, 10)
    assert advance(half, target(percent=90)).revisions == (("a", 30), ("b", 60))


def test_the_share_of_a_revision_that_is_gone_goes_to_the_newest():
    half = Rollout("hello", 100, (("a", 50), ("b", 50)), "", NOW - 30, NOW + 9, 9.0, 10)
    assert advance(half, target(), known=("b",)).revisions == (("b", 100),)


def test_the_state_survives_as_text():
    half = Rollout("hello", 100, (("a", 50), ("b", 50)), "t", NOW - 30, NOW + 9, 9.0, 10)
    assert rollout.decode(rollout.encode([half, settled()])) == [half]
    for text in ("", "nonsense", "{}", '[{"configuration": 1}]'):
        assert rollout.decode(text) == []


@given(
    percent=st.integers(2, 100),
    duration_s=st.floats(0.5, 3000.0),
    programming_s=st.floats(0.0, 20.0),
)
def test_every_rollout_adds_up_only_grows_and_ends_in_time(percent, duration_s, programming_s):
    seen = play(settled(percent=percent), target(percent=percent), duration_s, 4000.0, programming_s)
    newest = [shares["b"] for _, shares in seen]
    assert newest[0] == 1
    assert newest == sorted(newest)
    assert all(sum(shares.values()) == percent for _, shares in seen)
    assert seen[-1][1] == {"b": percent}
    # Rounding a step up ends it early, never more than a step late; programming may take longer than the duration.
    assert seen[-1][0] <= max(duration_s, programming_s + 1.0) * 2 + 2.0
