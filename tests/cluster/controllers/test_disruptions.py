"""Disruption budgets: the numbers of a status, and that a granted eviction counts until its pod is gone."""

from __future__ import annotations

import pytest

from cluster import timestamps
from cluster.api import selectors
from cluster.controllers import disruptions
from cluster.controllers.actions import PatchStatus
from tidegate.kube.api import Object

NOW = 1_800_000_000.0


def pod(name: str, ready: bool = True, owner: str = "rs", **metadata: object) -> Object:
    references = [{"uid": owner, "controller": True}] if owner else []
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    found = {"name": name, "namespace": "d", "ownerReferences": references, **metadata}
    return {"metadata": found, "status": {"phase": "Running", "conditions": [condition]}}


def budget(status: Object | None = None, **spec: object) -> Object:
    return {"metadata": {"name": "b", "namespace": "d", "generation": 2}, "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("spec", "pods", "wanted", "expected"),
    [
        ({"minAvailable": 1}, 3, 3, (3, 1, 2)),
        ({"minAvailable": 3}, 3, 3, (3, 3, 0)),
        ({"minAvailable": "50%"}, 3, 3, (3, 2, 1)),
        ({"maxUnavailable": 1}, 3, 3, (3, 2, 1)),
        ({"maxUnavailable": 1}, 2, 3, (3, 2, 0)),
        ({"maxUnavailable": "34%"}, 3, 3, (3, 1, 2)),
        ({"maxUnavailable": 5}, 2, 2, (2, 0, 2)),
        ({"minAvailable": 1}, 0, 0, (0, 1, 0)),
    ],
)
def test_numbers(spec: Object, pods: int, wanted: int, expected: tuple[int, int, int]) -> None:
    plan = disruptions.plan(budget(**spec), [pod(f"p{n}") for n in range(pods)], {"rs": wanted}, NOW)
    (action,) = plan.actions
    assert isinstance(action, PatchStatus)
    status = action.status
    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == expected
    assert status["observedGeneration"] == 2


def test_a_granted_eviction_counts_until_the_pod_goes_or_two_minutes_are_over() -> None:
    pods = [pod("a"), pod("b")]
    granted = {"disruptedPods": {"a": timestamps.text(NOW)}}
    plan = disruptions.plan(budget(granted, minAvailable=1), pods, {"rs": 2}, NOW + 1)
    (action,) = plan.actions
    assert isinstance(action, PatchStatus)
    assert (action.status["currentHealthy"], action.status["disruptionsAllowed"]) == (1, 0)
    assert plan.again_in_s == pytest.approx(119)
    (action,) = disruptions.plan(budget(granted, minAvailable=1), pods, {"rs": 2}, NOW + 121).actions
    assert isinstance(action, PatchStatus)
    assert (action.status["disruptionsAllowed"], action.status["disruptedPods"]) == (1, None)


def test_a_status_that_is_right_is_left_alone() -> None:
    pods = [pod("a"), pod("b", ready=False), pod("c", deletionTimestamp="x")]
    (action,) = disruptions.plan(budget(minAvailable=1), pods, {"rs": 3}, NOW).actions
    assert isinstance(action, PatchStatus)
    status = {field: value for field, value in action.status.items() if value is not None}
    assert status["currentHealthy"] == 1
    assert disruptions.plan(budget(status, minAvailable=1), pods, {"rs": 3}, NOW).actions == []


def test_a_budget_without_selector_is_about_no_pod() -> None:
    assert not selectors.selects(budget(), pod("a"))
    assert selectors.selects(budget(selector={}), pod("a"))
    assert not selectors.selects(budget(selector={"matchLabels": {"x": "y"}}), pod("a"))
