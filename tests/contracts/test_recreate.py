"""Which revision has the traffic where two of them have no room beside each other."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contracts import recreate, traffic
from tidegate.contracts.traffic import Lookup

OLD, NEW = "hello-00001", "hello-00002"


def revision(name: str, ready: str, *, strategy: str = "recreate", **conditions: tuple[str, str]) -> dict[str, Any]:
    told = [{"type": "Ready", "status": ready}]
    told += [{"type": kind, "status": status, "reason": reason} for kind, (status, reason) in conditions.items()]
    metadata = {"name": name, "generation": 1, "annotations": {recreate.ANNOTATION: strategy}}
    return {"metadata": metadata, "status": {"observedGeneration": 1, "conditions": told} if ready else {}}


NO_ROOM = {"ResourcesAvailable": ("False", "Unschedulable")}
CASES = [
    ("it starts: the new one has the traffic", revision(NEW, "Unknown"), 100, NEW, {NEW}),
    ("nobody has looked at it yet", revision(NEW, ""), 100, OLD, {OLD, NEW}),
    ("there is no room before the old one has gone", revision(NEW, "False", **NO_ROOM), 100, NEW, {NEW}),
    (
        "there was none until the deadline: back",
        revision(NEW, "False", **NO_ROOM, Active=("False", "TimedOut")),
        100,
        OLD,
        {OLD},
    ),
    ("its container ends: back", revision(NEW, "False", ContainerHealthy=("False", "ExitCode1")), 100, OLD, {OLD}),
    ("it has a part of the traffic: both run", revision(NEW, "Unknown"), 10, OLD, {OLD, NEW}),
    ("it did not ask for it", revision(NEW, "Unknown", strategy="rolling"), 100, OLD, {OLD, NEW}),
    ("it did not ask for it, and fails", revision(NEW, "False", strategy="rolling"), 100, OLD, {OLD, NEW}),
]


@pytest.mark.parametrize(
    ("new", "percent", "routed", "kept"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_who_has_the_traffic_and_who_is_kept(new: dict[str, Any], percent: int, routed: str, kept: set[str]) -> None:
    status = {"latestReadyRevisionName": OLD, "latestCreatedRevisionName": NEW}
    lookup = Lookup(
        {"hello": {"metadata": {"name": "hello"}, "status": status}}, {OLD: revision(OLD, "True"), NEW: new}
    )
    entries = [{"configurationName": "hello", "percent": percent}]
    if percent < 100:
        entries.append({"revisionName": OLD, "percent": 100 - percent})
    route = {"metadata": {"name": "hello"}, "spec": {"traffic": entries}}
    spread: list[str] = []

    def remember(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        spread.extend(entry["revisionName"] for entry in found if traffic.FOLLOWED in entry)
        return found

    made = traffic.resolve(route, lookup, lambda tag: tag, remember)
    assert (made.obstacle, made.traffic[0]["revisionName"], made.traffic[0]["percent"]) == (None, routed, percent)
    assert made.traffic[0]["latestRevision"] is True
    assert (spread == []) == (routed == NEW)  # gradual rollouts need both beside each other
    assert traffic.referenced(route, lookup)[0] == kept


def test_the_first_revision_and_one_that_is_ready_are_as_ever() -> None:
    only = {"metadata": {}, "status": {"latestCreatedRevisionName": NEW}}
    assert recreate.successor(only, {NEW: revision(NEW, "Unknown")}, 100) == ""
    same = {"metadata": {}, "status": {"latestCreatedRevisionName": NEW, "latestReadyRevisionName": NEW}}
    assert recreate.successor(same, {NEW: revision(NEW, "True")}, 100) == ""


@pytest.mark.parametrize(
    ("state", "ready", "strategy", "expected"),
    [
        ("reserve", "False", "recreate", True),
        ("active", "False", "recreate", False),  # it serves, and a pod of it has just crashed
        ("reserve", "True", "recreate", False),
        ("reserve", "False", "rolling", False),
    ],
)
def test_who_has_handed_back(state: str, ready: str, strategy: str, expected: bool) -> None:
    found = revision(NEW, ready, strategy=strategy)
    found["metadata"]["labels"] = {"serving.knative.dev/routingState": state}
    assert recreate.has_handed_back(found) is expected


@pytest.mark.parametrize(("value", "problems"), [("recreate", 0), ("rolling", 0), ("Recreate", 1), ("", 1)])
def test_the_annotation_has_two_values(value: str, problems: int) -> None:
    assert len(recreate.check({recreate.ANNOTATION: value})) == problems
    assert recreate.check({}) == []
