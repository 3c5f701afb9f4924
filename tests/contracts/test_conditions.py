"""How Ready follows from its dependents, and how transition times behave."""

import pytest

from tidegate.contracts import conditions
from tidegate.contracts.conditions import FALSE, TRUE, UNKNOWN, Conditions, ConditionSet

KINDS = ConditionSet(("A", "B"))


def make(status=None, generation=1, now=0.0):
    return Conditions(KINDS, {"metadata": {"generation": generation}, "status": status or {}}, now)


def statuses(state):
    return {condition["type"]: condition["status"] for condition in state.finish()}


def test_everything_begins_unknown():
    assert statuses(make()) == {"A": UNKNOWN, "B": UNKNOWN, "Ready": UNKNOWN}


@pytest.mark.parametrize(
    ("marks", "ready"),
    [
        ([("A", TRUE), ("B", TRUE)], TRUE),
        ([("A", TRUE)], UNKNOWN),
        ([("A", FALSE)], FALSE),
        ([("A", FALSE), ("B", TRUE)], FALSE),
        ([("A", FALSE), ("B", UNKNOWN)], FALSE),
        ([("A", FALSE), ("A", TRUE), ("B", TRUE)], TRUE),
        ([("A", TRUE), ("B", TRUE), ("A", UNKNOWN)], UNKNOWN),
        ([("Info", FALSE), ("A", TRUE), ("B", TRUE)], TRUE),
    ],
)
def test_ready_follows(marks, ready):
    state = make()
    for kind, status in marks:
        state.mark(kind, status, f"{kind}{status}")
    assert statuses(state)["Ready"] == ready


def test_ready_takes_over_reason_and_message():
    state = make()
    state.mark_false("B", "Broken", "it broke")
    ready = state.get("Ready")
    assert (ready["reason"], ready["message"]) == ("Broken", "it broke")
    state.mark_unknown("A", "Looking")
    assert state.get("Ready")["reason"] == "Broken"


def test_of_several_failures_the_latest_is_shown():
    status = {
        "observedGeneration": 1,
        "conditions": [
            {"type": "A", "status": FALSE, "reason": "Late", "lastTransitionTime": "2024-02-01T00:00:00Z"},
            {"type": "B", "status": FALSE, "reason": "Early", "lastTransitionTime": "2024-01-01T00:00:00Z"},
            {"type": "C", "status": UNKNOWN},
            {"type": "Ready", "status": FALSE, "reason": "Early"},
        ],
    }
    state = Conditions(ConditionSet(("A", "B", "C")), {"metadata": {"generation": 1}, "status": status}, 0.0)
    state.mark_true("C")
    assert state.get("Ready")["reason"] == "Late"


def test_an_unchanged_condition_keeps_its_time_even_after_a_detour():
    before = [
        {"type": "A", "status": TRUE, "lastTransitionTime": "2024-01-01T00:00:00Z"},
        {"type": "B", "status": TRUE, "lastTransitionTime": "2024-01-01T00:00:00Z"},
        {"type": "Ready", "status": TRUE, "lastTransitionTime": "2024-01-01T00:00:00Z"},
    ]
    state = make({"observedGeneration": 1, "conditions": before}, now=86400.0)
    state.mark_unknown("A", "Detour")
    state.mark_true("A")
    assert state.finish() == before


def test_changed_conditions_share_one_time():
    state = make(now=86400.0)
    state.mark_true("A")
    state.mark_true("B")
    assert {condition["lastTransitionTime"] for condition in state.finish()} == {"1970-01-02T00:00:00Z"}


def test_a_new_generation_resets_ready_only():
    before = [{"type": kind, "status": TRUE} for kind in ("A", "B", "Ready")]
    state = make({"observedGeneration": 1, "conditions": before}, generation=2)
    assert statuses(state) == {"A": TRUE, "B": TRUE, "Ready": UNKNOWN}
    assert state.get("Ready")["reason"] == "NewObservedGenFailure"
    state.mark_true("A")
    assert statuses(state)["Ready"] == TRUE


def test_informational_conditions_say_so():
    state = make()
    state.mark_false("Active", "NoTraffic")
    assert state.get("Active")["severity"] == "Info"
    assert "severity" not in state.get("A")


def test_ready_without_dependents_is_set_directly():
    state = Conditions(conditions.CONFIGURATION, {"metadata": {"generation": 1}}, 0.0)
    state.mark_true("Ready")
    assert statuses(state) == {"Ready": TRUE}


def test_ready_and_failed_compare_generations():
    obj = {
        "metadata": {"generation": 2},
        "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": TRUE}]},
    }
    assert conditions.is_ready(obj)
    obj["status"]["observedGeneration"] = 1
    assert not conditions.is_ready(obj)
    obj["status"]["conditions"][0]["status"] = FALSE
    assert not conditions.is_failed(obj)
    obj["status"]["observedGeneration"] = 2
    assert conditions.is_failed(obj)


def test_copying_nothing_is_unknown():
    state = make()
    state.mark_true("A")
    state.copy("A", None)
    assert state.get("A")["status"] == UNKNOWN
    state.copy("A", {"status": FALSE, "reason": "R", "message": "M"})
    assert state.get("Ready")["message"] == "M"


def test_times_are_written_and_read_alike():
    assert conditions.parse_timestamp(conditions.timestamp(1.7e9)) == 1.7e9
