"""`behavior` of autoscalers, as a table: what is recommended, what there was, and how far it is followed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cluster.controllers import scaling_rules
from cluster.controllers.scaling_rules import History, Verdict

NOW = 1_800_000_000.0


def pods(value: int, period_s: int = 60) -> dict[str, Any]:
    return {"type": "Pods", "value": value, "periodSeconds": period_s}


def percent(value: int, period_s: int = 60) -> dict[str, Any]:
    return {"type": "Percent", "value": value, "periodSeconds": period_s}


def up(*policies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"scaleUp": {"policies": list(policies), **more} if policies else more}


def down(*policies: dict[str, Any], **more: Any) -> dict[str, Any]:
    window = {"stabilizationWindowSeconds": 0} | more
    return {"scaleDown": {"policies": list(policies), **window} if policies else window}


def ago(*pairs: tuple[float, int]) -> tuple[tuple[float, int], ...]:
    return tuple((NOW - seconds, number) for seconds, number in pairs)


FINE, UP, DOWN = "DesiredWithinRange", "ScaleUpLimit", "ScaleDownLimit"
# What it is about, behavior, current, recommended, changes until now, the verdict's replicas and reason.
PACE: list[tuple[str, Any, int, int, Any, int, str]] = [
    ("by default four pods in 15 s", None, 1, 50, (), 5, UP),
    ("or as many as there are", None, 10, 50, (), 20, UP),
    ("what was added in the period counts", None, 5, 50, ago((10, 4)), 5, UP),
    ("and not what was added before", None, 5, 50, ago((16, 4)), 10, UP),
    ("by default down as far as wanted", down(), 40, 1, (), 1, FINE),
    ("pods", up(pods(2)), 3, 50, (), 5, UP),
    ("a percentage, rounded up", up(percent(10)), 3, 50, (), 4, UP),
    ("the policy that allows most", up(pods(2), percent(100)), 3, 50, (), 6, UP),
    ("the one that allows least", up(pods(2), percent(100), selectPolicy="Min"), 3, 50, (), 5, UP),
    ("none", up(pods(2), selectPolicy="Disabled"), 3, 50, (), 3, UP),
    ("no further than wanted", up(pods(20)), 3, 7, (), 7, FINE),
    ("pods that went in the period may come back", up(pods(2)), 3, 50, ago((30, -4)), 9, UP),
    ("pods, down", down(pods(2)), 10, 1, (), 8, DOWN),
    ("a percentage of what there was, rounded down", down(percent(10)), 15, 1, (), 13, DOWN),
    ("down by the policy that allows most", down(pods(2), percent(50)), 10, 1, (), 5, DOWN),
    ("down by the one that allows least", down(pods(2), percent(50), selectPolicy="Min"), 10, 1, (), 8, DOWN),
    ("not down", down(selectPolicy="Disabled"), 10, 1, (), 10, DOWN),
    ("what went in the period counts", down(pods(2)), 8, 1, ago((59, -2)), 8, DOWN),
    ("and not what went before", down(pods(2)), 8, 1, ago((60, -2)), 6, DOWN),
    ("a field that is not said has its default", {"scaleUp": {"selectPolicy": "Min"}}, 1, 50, (), 2, UP),
]


@pytest.mark.parametrize(("title", "behavior", "current", "raw", "changes", "replicas", "reason"), PACE)
def test_policies(title: str, behavior: Any, current: int, raw: int, changes: Any, replicas: int, reason: str) -> None:
    spec = {"maxReplicas": 100, "behavior": behavior}
    verdict, after = scaling_rules.follow(raw, current, spec, History(changes=changes), NOW)
    assert (verdict.replicas, verdict.limited) == (replicas, reason), title
    if replicas != current:
        assert after.changes[-1] == (NOW, replicas - current)


TEN_S = {"stabilizationWindowSeconds": 10}
WINDOWS: list[tuple[str, Any, int, int, Any, Verdict]] = [
    ("up waits for no one", {}, 1, 3, ago((1, 1)), Verdict(3)),
    ("up takes the least of its window", up(**TEN_S), 1, 3, ago((5, 2)), Verdict(2, "ScaleUpStabilized")),
    ("and nothing before it", up(**TEN_S), 1, 3, ago((11, 1)), Verdict(3)),
    ("down waits five minutes", {}, 3, 1, ago((299, 3)), Verdict(3, "ScaleDownStabilized")),
    ("then it goes", {}, 3, 1, ago((300, 3)), Verdict(1)),
    ("down takes the highest of its window", down(**TEN_S), 5, 1, ago((5, 2)), Verdict(2, "ScaleDownStabilized")),
    ("bounds hold over everything", {}, 3, 50, (), Verdict(6, limited="TooManyReplicas")),
    ("least as well", down(), 3, 0, (), Verdict(2, limited="TooFewReplicas")),
]  # fmt: skip


@pytest.mark.parametrize(("title", "behavior", "current", "raw", "recommended", "verdict"), WINDOWS)
def test_windows_and_bounds(
    title: str, behavior: Any, current: int, raw: int, recommended: Any, verdict: Verdict
) -> None:
    spec = {"minReplicas": 2 if raw == 0 else 1, "maxReplicas": 6, "behavior": behavior}
    found, after = scaling_rules.follow(raw, current, spec, History(recommended), NOW)
    assert found == verdict, title
    assert after.recommendations[-1] == (NOW, raw)


policies = some.lists(some.builds(lambda one, value, s: one(value, s), some.sampled_from([pods, percent]),
                                  some.integers(1, 50), some.integers(1, 1800)), max_size=3)  # fmt: skip
events = some.lists(some.tuples(some.floats(0, 4000), some.integers(-20, 20)), max_size=5)


@given(
    policies,
    policies,
    some.sampled_from(["Max", "Min", "Disabled"]),
    some.integers(1, 40),
    some.integers(0, 99),
    events,
)
def test_nothing_leaves_the_bounds_or_turns_round(
    ups: list[Any], downs: list[Any], choice: str, current: int, raw: int, changes: list[tuple[float, int]]
) -> None:
    spec = {"minReplicas": 1, "maxReplicas": 40, "behavior": up(*ups, selectPolicy=choice) | down(*downs)}
    verdict, after = scaling_rules.follow(raw, current, spec, History(changes=ago(*changes)), NOW)
    assert 1 <= verdict.replicas <= 40
    assert min(current, max(raw, 1)) <= verdict.replicas <= max(current, raw)
    assert all(NOW - at < scaling_rules.LONGEST_PERIOD_S for at, _ in after.changes)


def test_a_clock_that_was_set_back_holds_nothing() -> None:
    spec = {"minReplicas": 1, "maxReplicas": 100}
    later = History(recommendations=((NOW + 86400, 50),), changes=((NOW + 86400, 49),))
    verdict, kept = scaling_rules.follow(5, 5, spec, later, NOW)
    assert verdict == Verdict(5)
    assert kept == History(recommendations=((NOW, 5),))
    assert scaling_rules.follow(1, 50, spec, later, NOW)[0].replicas == 1
