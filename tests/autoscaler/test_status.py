"""PodAutoscaler status: the conditions table, and reading a former decision back."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler import state, status
from autoscaler.decide import decide
from tidegate.contracts import conditions
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, ServingMode

NOW = 1_800_000_000.0


def decision_of(**changes):
    seen = state.Observation("default", "hello-00001", NOW, ready_pods=1)
    base, _ = decide(ScalingSpec(), seen, state.fresh(0.0), 0.0)
    return msgspec.structs.replace(base, **changes)


def autoscaler(**more):
    return {"metadata": {"name": "hello-00001", "namespace": "default", "generation": 3}, **more}


def summary(body):
    return {item["type"]: (item["status"], item.get("reason", "")) for item in body["conditions"]}


@pytest.mark.parametrize(
    ("activity", "reason", "ready", "initialized", "expected"),
    [
        (
            Activity.ACTIVATING,
            "Queued",
            0,
            False,
            {
                "Active": ("Unknown", "Queued"),
                "Ready": ("Unknown", "Queued"),
                "SKSReady": ("Unknown", "NotReady"),
                "ScaleTargetInitialized": ("Unknown", ""),
            },
        ),
        (
            Activity.ACTIVE,
            "",
            2,
            True,
            {
                "Active": ("True", ""),
                "Ready": ("True", ""),
                "SKSReady": ("True", ""),
                "ScaleTargetInitialized": ("True", ""),
            },
        ),
        (
            Activity.INACTIVE,
            "NoTraffic",
            0,
            True,
            {
                "Active": ("False", "NoTraffic"),
                "Ready": ("False", "NoTraffic"),
                "SKSReady": ("Unknown", "NotReady"),
                "ScaleTargetInitialized": ("True", ""),
            },
        ),
        (
            Activity.INACTIVE,
            "TimedOut",
            0,
            False,
            {
                "Active": ("False", "TimedOut"),
                "Ready": ("False", "TimedOut"),
                "SKSReady": ("Unknown", "NotReady"),
                "ScaleTargetInitialized": ("Unknown", ""),
            },
        ),
    ],
)
def test_conditions(activity, reason, ready, initialized, expected):
    decision = decision_of(
        activity=activity, activity_reason=reason, ready_pods=ready, is_initialized=initialized, desired=ready
    )
    body = status.status_of(decision, autoscaler(), NOW)
    assert summary(body) == expected
    assert body["serviceName"] == body["metricsServiceName"] == "hello-00001-private"
    assert (body["desiredScale"], body["actualScale"], body["observedGeneration"]) == (ready, ready, 3)


def test_no_opinion_does_not_overwrite_a_number():
    body = status.status_of(decision_of(desired=-1), autoscaler(status={"desiredScale": 4}), NOW)
    assert body["desiredScale"] == 4
    assert status.status_of(decision_of(desired=-1), autoscaler(), NOW)["desiredScale"] == -1


def test_a_status_that_says_the_same_is_current_and_keeps_its_times():
    decision = decision_of(activity=Activity.ACTIVE, activity_reason="", is_initialized=True, desired=1)
    body = status.status_of(decision, autoscaler(), NOW)
    later = status.status_of(decision, autoscaler(status=body), NOW + 60)
    assert later == body
    assert status.is_current(later, autoscaler(status={**body, "annotations": {"kept": "yes"}}))
    assert not status.is_current(later, autoscaler(status={**body, "actualScale": 9}))


def test_a_new_generation_is_observed_and_ready_again():
    decision = decision_of(activity=Activity.ACTIVE, activity_reason="", is_initialized=True, desired=1)
    body = status.status_of(decision, autoscaler(), NOW)
    newer = autoscaler(status=body)
    newer["metadata"]["generation"] = 4
    again = status.status_of(decision, newer, NOW + 60)
    assert again["observedGeneration"] == 4
    assert summary(again)["Ready"] == ("True", "")


def test_a_memory_is_read_back_from_the_status():
    decision = decision_of(
        activity=Activity.INACTIVE,
        activity_reason="NoTraffic",
        is_initialized=True,
        desired=0,
        serving_mode=ServingMode.PROXY,
    )
    body = status.status_of(decision, autoscaler(), NOW)
    memory = status.memory_of(autoscaler(status=body), 500.0, NOW + 90)
    assert memory == state.Memory(
        began_at=500.0,
        is_restored=True,
        activity=Activity.INACTIVE,
        activity_since=410.0,
        is_initialized=True,
        serving_mode=ServingMode.PROXY,
        proxy_since=500.0,
    )


def test_without_a_status_the_memory_is_fresh():
    assert status.memory_of(autoscaler(), 500.0, NOW) == state.fresh(500.0)


def test_a_status_somebody_spoiled_is_survived():
    spoiled = {
        "conditions": [{"type": "Active", "status": "Maybe", "lastTransitionTime": "yesterday"}],
        "servingMode": "x",
    }
    memory = status.memory_of(autoscaler(status=spoiled), 500.0, NOW)
    assert memory.activity is Activity.ACTIVATING
    assert memory.activity_since == 500.0
    assert memory.serving_mode is None


def test_conditions_are_sorted_and_dated():
    body = status.status_of(decision_of(), autoscaler(), NOW)
    kinds = [item["type"] for item in body["conditions"]]
    assert kinds == sorted(kinds)
    assert {item["lastTransitionTime"] for item in body["conditions"]} == {conditions.timestamp(NOW)}


def active(value, generation=3, **more):
    at_zero = {"observedGeneration": generation, "servingMode": "Proxy", "desiredScale": 0, "actualScale": 0}
    return {**at_zero, "conditions": [{"type": "Active", "status": value}], **more}


@pytest.mark.parametrize(
    ("found", "is_of_rest"),
    [
        pytest.param(None, False, id="gone"),
        pytest.param(autoscaler(), False, id="never told: one that starts at zero must be told that it is there"),
        pytest.param(autoscaler(status={"observedGeneration": 3}), False, id="told nothing yet"),
        pytest.param(autoscaler(status=active("False")), True, id="at zero, as it says"),
        pytest.param(
            autoscaler(status=active("False", desiredScale=-1)), True, id="at zero, and nobody has an opinion"
        ),
        pytest.param(autoscaler(status=active("False", generation=2)), False, id="of an older generation"),
        pytest.param(
            autoscaler(status=active("False", actualScale=1)), False, id="a pod was there when it was told last"
        ),
        pytest.param(autoscaler(status=active("False", desiredScale=2)), False, id="pods were asked for"),
        pytest.param(autoscaler(status=active("False", servingMode="Serve")), False, id="pods are said to serve"),
        pytest.param(autoscaler(status=active("Unknown")), False, id="waking"),
        pytest.param(autoscaler(status=active("True")), False, id="awake"),
    ],
)
def test_whether_a_status_says_that_it_sleeps(found, is_of_rest):
    assert status.is_of_rest(found) is is_of_rest
