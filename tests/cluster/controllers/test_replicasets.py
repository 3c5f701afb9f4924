"""ReplicaSet plans: numbers, order of removal, status."""

from __future__ import annotations

from typing import Any

from cluster import timestamps
from cluster.controllers import replicasets
from cluster.controllers.actions import Create, Delete, PatchStatus
from tidegate.kube.api import Object

NOW = 1_800_000_000.0


def replica_set(replicas: int, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"a": "b"}, "annotations": {"n": "m"}}, "spec": {"containers": [{"name": "c"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "rs", "namespace": "d", "uid": "u", "generation": 4},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def pod(name: str, ready_s: float | None = 100.0, **fields: Any) -> Object:
    """Return a pod that has been ready for `ready_s` seconds, or not at all."""
    found = [{"type": "Ready", "status": "True", "lastTransitionTime": timestamps.text(NOW - (ready_s or 0))}]
    metadata = {
        "name": name,
        "namespace": "d",
        "uid": name,
        "labels": {"a": "b"},
        "annotations": fields.get("annotations"),
        "creationTimestamp": timestamps.text(NOW - fields.get("age_s", 200.0)),
    }
    if fields.get("deleting"):
        metadata["deletionTimestamp"] = timestamps.text(NOW)
    status = {
        "phase": fields.get("phase", "Running"),
        "conditions": found if ready_s is not None else [],
        "containerStatuses": [{"restartCount": fields.get("restarts", 0)}],
    }
    return {"metadata": metadata, "spec": {"nodeName": fields.get("node", "n1")}, "status": status}


def counts(wanted: int, pods: list[Object]) -> tuple[int, list[str]]:
    actions = replicasets.plan(replica_set(wanted), pods, NOW).actions
    created = sum(isinstance(action, Create) for action in actions)
    return created, [action.name for action in actions if isinstance(action, Delete)]


def test_as_many_as_asked_for() -> None:
    assert counts(2, []) == (2, [])
    assert counts(2, [pod("a"), pod("b")]) == (0, [])
    assert counts(0, [pod("a")]) == (0, ["a"])
    assert counts(1, [pod("a", deleting=True)]) == (1, [])
    assert counts(1, [pod("a", phase="Failed")]) == (1, [])


def test_a_new_pod() -> None:
    create = replicasets.plan(replica_set(1), [], NOW).actions[0]
    assert isinstance(create, Create)
    assert create.object["metadata"]["generateName"] == "rs-"
    assert create.object["metadata"]["labels"] == {"a": "b"}
    assert create.object["metadata"]["annotations"] == {"n": "m"}
    assert create.object["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "rs",
            "uid": "u",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


COST = replicasets.DELETION_COST
BY_USE = [
    pod("unassigned", None, phase="Pending", node=""),
    pod("pending", None, phase="Pending"),
    pod("not-ready", None),
    pod("cheap", annotations={COST: "-5"}),
    pod("ready-for-1-s", 1.0),
    pod("restarted", restarts=3),
    pod("young", age_s=10.0),
    pod("old"),
    pod("dear", 1.0, annotations={COST: "9"}, restarts=9),
]


def test_the_least_useful_go_first() -> None:
    names = [one["metadata"]["name"] for one in BY_USE]
    for kept in range(len(BY_USE)):
        assert counts(kept, BY_USE[::-1])[1] == names[: len(names) - kept]


def test_an_unreadable_cost_is_zero() -> None:
    assert replicasets.deletion_cost(pod("a", annotations={COST: "much"})) == 0


def status(found: list[Any]) -> Object:
    return next(action.status for action in found if isinstance(action, PatchStatus))


def test_status() -> None:
    plan = replicasets.plan(replica_set(3), [pod("a"), pod("b", None), pod("c", deleting=True), pod("d")], NOW)
    assert status(plan.actions) == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "observedGeneration": 4,
    }
    assert plan.again_in_s is None


def test_available_after_min_ready_seconds() -> None:
    plan = replicasets.plan(replica_set(2, minReadySeconds=30), [pod("a", 31.0), pod("b", 10.0)], NOW)
    assert status(plan.actions)["availableReplicas"] == 1
    assert plan.again_in_s == 20.0


def test_nothing_is_written_when_nothing_changed() -> None:
    one = replica_set(1)
    one["status"] = status(replicasets.plan(one, [pod("a")], NOW).actions)
    assert replicasets.plan(one, [pod("a")], NOW).actions == []


def test_a_deleted_one_is_left_alone() -> None:
    one = replica_set(1)
    one["metadata"]["deletionTimestamp"] = timestamps.text(NOW)
    assert replicasets.plan(one, [], NOW).actions == []


def test_burst_is_bounded() -> None:
    assert counts(10_000, [])[0] == replicasets.BURST
