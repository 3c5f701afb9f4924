"""Events within bounds: the same words count up, many similar ones are told together, floods are left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.event_rules import BURST, REFILL_S, SIMILAR_LIMIT, SIMILAR_S, SUBJECTS_LIMIT, TOGETHER, EventRules


def test_the_same_words_again_count_up():
    rules = EventRules()
    first = rules.judge("app", "ScaledUp", "from 0 to 1", 0.0)
    assert first.count == 1
    again = rules.judge("app", "ScaledUp", "from 0 to 1", 60.0)
    assert again is first
    assert again.count == 2
    assert rules.judge("app", "ScaledUp", "from 0 to 1", 60.0 + SIMILAR_S + 1).count == 1
    assert rules.judge("other", "ScaledUp", "from 0 to 1", 61.0).count == 1


def test_many_similar_ones_are_told_together():
    rules = EventRules()
    told = [rules.judge("app", "ScaledUp", f"from {number} to {number + 1}", float(number)) for number in range(15)]
    assert all(one.count == 1 for one in told[:SIMILAR_LIMIT])
    assert told[-1] is told[SIMILAR_LIMIT]
    assert told[-1].count == 5
    assert told[-1].message == TOGETHER + "from 14 to 15"


def test_a_flood_is_left_out_and_a_trickle_is_not():
    rules = EventRules()
    flood = [rules.judge("app", f"Reason{number}", "text", 0.0) for number in range(BURST + 10)]
    assert sum(one is not None for one in flood) == BURST
    assert rules.judge("app", "Other", "text", REFILL_S) is not None
    assert rules.judge("app", "Another", "text", REFILL_S) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 30), st.floats(0, 20)), max_size=200))
def test_never_more_than_a_burst_and_the_refill(steps):
    rules, now, told = EventRules(), 0.0, 0
    for _, reason, message, gap_s in steps:
        now += gap_s
        told += rules.judge("app", str(reason), str(message), now) is not None
    assert told <= BURST + now / REFILL_S + 1


def test_what_is_remembered_is_bounded():
    rules = EventRules()
    for number in range(SUBJECTS_LIMIT + 100):
        rules.judge(str(number), "ScaledUp", "text", 0.0)
    assert len(rules._subjects) == SUBJECTS_LIMIT
