"""What is remembered of header names has a bound in bytes, too: names are chosen by clients."""

from __future__ import annotations

from tidegate.wire.header_rules import PLAN_KEPT_BYTES, answer_kinds


def test_plans_of_long_names_are_not_kept():
    kinds = answer_kinds()
    short, long = (b"x", b"y"), (b"x" * PLAN_KEPT_BYTES, b"y")
    assert kinds.plan(short).kept == kinds.plan(long).kept == (0, 1)
    assert list(kinds.plans) == [short]


def test_plans_of_many_names_are_not_kept():
    kinds = answer_kinds()
    kinds.plan((b"x",) * 65)
    assert not kinds.plans
