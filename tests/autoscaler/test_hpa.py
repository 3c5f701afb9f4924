"""Class hpa: which HorizontalPodAutoscaler a revision gets, and the status of its PodAutoscaler."""

from __future__ import annotations

import pytest

from autoscaler import hpa
from tidegate.contracts.autoscaling import AutoscalerConfig

PREFIX = "autoscaling.knative.dev/"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-00001-deployment"}


def autoscaler(annotations=None, reachability="Reachable"):
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": "pa-uid",
            "generation": 3,
            "labels": {"app": "hello"},
            "annotations": {PREFIX + key: value for key, value in (annotations or {}).items()},
        },
        "spec": {"scaleTargetRef": TARGET, "reachability": reachability},
    }


def spec_of(annotations, config=None, **more):
    return hpa.horizontal_of(autoscaler(annotations, **more), config or AutoscalerConfig())["spec"]


def resource(name, **target):
    return [{"type": "Resource", "resource": {"name": name, "target": target}}]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, {"maxReplicas": 2**31 - 1}),
        ({"min-scale": "2", "max-scale": "5"}, {"minReplicas": 2, "maxReplicas": 5}),
        (
            {"target": "70.2"},
            {"maxReplicas": 2**31 - 1, "metrics": resource("cpu", type="Utilization", averageUtilization=71)},
        ),
        (
            {"metric": "memory", "target": "200.7"},
            {"maxReplicas": 2**31 - 1, "metrics": resource("memory", type="AverageValue", averageValue="200Mi")},
        ),
        (
            {"metric": "queue_length", "target": "9.5"},
            {
                "maxReplicas": 2**31 - 1,
                "metrics": [
                    {
                        "type": "Pods",
                        "pods": {
                            "metric": {"name": "queue_length"},
                            "target": {"type": "AverageValue", "averageValue": "10"},
                        },
                    }
                ],
            },
        ),
        # A metric without a target scales on nothing, and a target that does not hold is none.
        ({"metric": "cpu"}, {"maxReplicas": 2**31 - 1}),
        ({"target": "lots"}, {"maxReplicas": 2**31 - 1}),
        (
            {"window": "90s"},
            {
                "maxReplicas": 2**31 - 1,
                "behavior": {
                    "scaleUp": {"stabilizationWindowSeconds": 90},
                    "scaleDown": {"stabilizationWindowSeconds": 90},
                },
            },
        ),
    ],
)
def test_the_spec(annotations, expected):
    assert spec_of(annotations) == {"scaleTargetRef": TARGET} | expected


def test_bounds_of_config_autoscaler_hold_too():
    spec = spec_of({}, AutoscalerConfig(min_scale=1, max_scale=4))
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)


def test_an_unreachable_revision_has_no_minimum():
    assert "minReplicas" not in spec_of({"min-scale": "3"}, reachability="Unreachable")


def test_it_belongs_to_the_pod_autoscaler():
    made = hpa.horizontal_of(autoscaler(), AutoscalerConfig())
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("hello-00001", "default")
    assert made["metadata"]["labels"] == {"app": "hello"}
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("PodAutoscaler", "pa-uid", True)


def test_what_an_api_server_adds_is_no_difference():
    wanted = hpa.horizontal_of(autoscaler({"target": "80"}), AutoscalerConfig())
    stored = {**wanted, "spec": wanted["spec"] | {"minReplicas": 1, "behavior": {"scaleUp": {}}}, "status": {}}
    assert hpa.is_current(stored, wanted)
    assert not hpa.is_current(None, wanted)
    assert not hpa.is_current(stored, hpa.horizontal_of(autoscaler({"target": "81"}), AutoscalerConfig()))
    assert not hpa.is_current(
        stored, hpa.horizontal_of(autoscaler({"target": "80", "min-scale": "2"}), AutoscalerConfig())
    )


@pytest.mark.parametrize(
    ("horizontal", "replicas", "desired"), [(None, 3, 3), ({"status": {"desiredReplicas": 5}}, 3, 5), (None, None, -1)]
)
def test_the_status_is_active_and_serves(horizontal, replicas, desired):
    status = hpa.status_of(autoscaler(), horizontal, replicas, 2, 1_800_000_000.0)
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Active": "True",
        "Ready": "True",
        "SKSReady": "True",
        "ScaleTargetInitialized": "True",
    }
    assert (status["desiredScale"], status["actualScale"], status["servingMode"]) == (desired, 2, "Serve")
    assert (status["observedGeneration"], status["serviceName"]) == (3, "hello-00001-private")
