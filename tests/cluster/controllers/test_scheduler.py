"""Placing pods: reasons in, node or message out."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.controllers import scheduler
from cluster.controllers.actions import Patch, PatchStatus, Record
from tidegate.kube.api import Object

NOW = 1_800_000_000.0
TAINT = {"key": "tidegate.dev/process-node", "effect": "NoSchedule"}


def node(name: str = "n1", ready: str = "True", labels: Object | None = None, **fields: Any) -> Object:
    allocatable = {"cpu": "2", "memory": "1Gi", "pods": "3", **fields.pop("has", {})}
    status = {"conditions": [{"type": "Ready", "status": ready}], "allocatable": allocatable}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": fields, "status": status}


def pod(name: str = "p", on: str = "", asks: Object | None = None, **spec: Any) -> Object:
    containers = [{"name": "c", "resources": {"requests": asks or {}}}]
    return {
        "metadata": {"name": name, "namespace": "d", "uid": name},
        "spec": {"containers": containers, "nodeName": on, **spec},
    }


REFUSALS = [
    (pod(), node(), [], ""),
    (pod(), node(ready="Unknown"), [], "node(s) were not ready"),
    (pod(), node(unschedulable=True), [], "node(s) were unschedulable"),
    (pod(nodeSelector={"gpu": "a"}), node(), [], "node(s) didn't match Pod's node affinity/selector"),
    (pod(nodeSelector={"gpu": "a"}), node(labels={"gpu": "a"}), [], ""),
    (pod(), node(taints=[TAINT]), [], "node(s) had untolerated taint {tidegate.dev/process-node: }"),
    (pod(tolerations=[{"key": TAINT["key"], "operator": "Exists"}]), node(taints=[TAINT]), [], ""),
    (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT]), [], ""),
    (
        pod(tolerations=[{"key": TAINT["key"], "value": "no"}]),
        node(taints=[TAINT]),
        [],
        "node(s) had untolerated taint {tidegate.dev/process-node: }",
    ),
    (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), [], ""),
    (pod(asks={"cpu": "2001m"}), node(), [], "Insufficient cpu"),
    (pod(asks={"cpu": "1500m"}), node(), [pod("o", asks={"cpu": "600m"})], "Insufficient cpu"),
    (pod(asks={"memory": "1Gi"}), node(), [], ""),
    (pod(asks={"memory": "1025Mi"}), node(), [], "Insufficient memory"),
    (pod(asks={"nvidia.com/gpu": "1"}), node(), [], "Insufficient nvidia.com/gpu"),
    (pod(asks={"nvidia.com/gpu": "1"}), node(has={"nvidia.com/gpu": "1"}), [], ""),
    (pod(), node(), [pod("a"), pod("b"), pod("c")], "Too many pods"),
]


@pytest.mark.parametrize(("one", "where", "present", "reason"), REFUSALS)
def test_refusal(one: Object, where: Object, present: list[Object], reason: str) -> None:
    assert scheduler.refusal(one, where, present) == reason


def test_requests_count_limits_and_the_largest_init_container() -> None:
    containers = [
        {"resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "100m"}}},
        {"resources": {"requests": {"cpu": "200m"}}},
    ]
    inits = [{"resources": {"requests": {"cpu": "500m"}}}, {"resources": {"requests": {"cpu": "400m"}}}]
    found = scheduler.requests({"spec": {"containers": containers, "initContainers": inits}})
    assert {key: str(value) for key, value in found.items() if value} == {
        "cpu": "0.500",
        "memory": "1048576",
        "pods": "1",
    }


def test_the_emptier_node_is_taken() -> None:
    action, event = scheduler.plan(
        pod(), [node("a"), node("b"), node("c")], [pod("x", on="a"), pod("y", on="c")], NOW
    ).actions
    assert isinstance(action, Patch)
    assert action.patch == {"spec": {"nodeName": "b"}}
    assert isinstance(event, Record)
    assert event.message == "Successfully assigned d/p to b"


def test_why_not_is_counted_and_said_once() -> None:
    nodes = [node("a", ready="False"), node("b", ready="False"), node("c", unschedulable=True)]
    one = pod()
    status, event = scheduler.plan(one, nodes, [], NOW).actions
    message = "0/3 nodes are available: 2 node(s) were not ready, 1 node(s) were unschedulable."
    assert isinstance(status, PatchStatus)
    assert status.status["conditions"][0]["message"] == message
    assert status.status["conditions"][0]["reason"] == "Unschedulable"
    assert isinstance(event, Record)
    one["status"] = status.status
    assert scheduler.plan(one, nodes, [], NOW + 5).actions == []


def test_no_nodes_at_all() -> None:
    status = scheduler.plan(pod(), [], [], NOW).actions[0]
    assert isinstance(status, PatchStatus)
    assert status.status["conditions"][0]["message"] == "no nodes available to schedule pods"


@pytest.mark.parametrize("fields", [{"on": "n1"}, {"schedulerName": "mine"}, {"schedulingGates": [{"name": "g"}]}])
def test_not_ours(fields: Any) -> None:
    assert scheduler.plan(pod(**fields), [node()], [], NOW).actions == []
