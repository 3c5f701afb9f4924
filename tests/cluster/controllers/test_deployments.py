"""Deployment plans: objects in, actions and status out."""

from __future__ import annotations

from typing import Any

from cluster import timestamps
from cluster.controllers import conditions, deployments
from cluster.controllers.actions import Action, Create, Delete, Patch, PatchStatus, Record
from tidegate.kube.api import Object

NOW = 1_800_000_000.0


def deployment(replicas: int = 3, image: str = "a", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "d", "uid": "u", "generation": 1, "annotations": {"note": "x"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}},
            **spec,
        },
    }


def owned(of: Object, replicas: int, available: int | None = None, revision: int = 1, age_s: float = 0.0) -> Object:
    """Return the ReplicaSet of `of`'s template, as it would be stored."""
    made = deployments.replica_set_for(of, replicas, str(revision))
    made["metadata"] |= {"uid": made["metadata"]["name"], "creationTimestamp": timestamps.text(NOW - age_s)}
    count = replicas if available is None else available
    made["status"] = {"replicas": replicas, "readyReplicas": count, "availableReplicas": count}
    return made


def writes(actions: list[Action]) -> list[Any]:
    """Return what is written but the status, in short."""
    short: list[Any] = []
    for action in actions:
        match action:
            case Create(_, obj):
                short.append(("create", obj["spec"]["replicas"]))
            case Patch(resource, _, name, patch):
                short.append((resource.kind, name, patch))
            case Delete(_, _, name):
                short.append(("delete", name))
    return short


def status(actions: list[Action]) -> Object:
    return next(action.status for action in actions if isinstance(action, PatchStatus))


def test_the_first_replica_set() -> None:
    web = deployment()
    create, event, numbered, _ = deployments.plan(web, [], NOW).actions
    assert isinstance(event, Record)
    assert event.message == f"Scaled up replica set web-{deployments.template_hash(web)} from 0 to 3"
    assert isinstance(create, Create)
    made = create.object
    mark = deployments.template_hash(web)
    assert made["metadata"]["name"] == f"web-{mark}"
    assert made["metadata"]["labels"] == {"app": "web", "pod-template-hash": mark}
    assert made["metadata"]["annotations"] == {"note": "x", "deployment.kubernetes.io/revision": "1"}
    assert made["metadata"]["ownerReferences"][0] | {"kind": "Deployment", "uid": "u", "controller": True}
    assert made["spec"]["selector"]["matchLabels"]["pod-template-hash"] == mark
    assert made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == mark
    assert made["spec"]["replicas"] == 3
    assert isinstance(numbered, Patch)
    assert numbered.patch == {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}}
    assert "pod-template-hash" not in web["spec"]["template"]["metadata"]["labels"]


def test_no_pods_are_no_news() -> None:
    actions = deployments.plan(deployment(0), [], NOW).actions
    assert [type(action) for action in actions if isinstance(action, Create | Record)] == [Create]


def numbered(web: Object, revision: int) -> Object:
    web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(revision)
    return web


def test_scale_changes_the_one_replica_set() -> None:
    web = numbered(deployment(5), 1)
    one = owned(web, 3)
    assert writes(deployments.plan(web, [one], NOW).actions) == [
        ("ReplicaSet", one["metadata"]["name"], {"spec": {"replicas": 5}})
    ]


def test_a_new_template_surges_then_shrinks() -> None:
    old = owned(deployment(4), 4)
    web = numbered(deployment(4, "b"), 1)
    assert writes(deployments.plan(web, [old], NOW).actions)[0] == ("create", 1)
    new = owned(web, 1, available=1, revision=2)
    assert writes(deployments.plan(numbered(web, 2), [old, new], NOW).actions) == [
        ("ReplicaSet", old["metadata"]["name"], {"spec": {"replicas": 2}})
    ]


def test_recreate_waits_for_the_old_pods() -> None:
    old = owned(deployment(2), 2)
    web = numbered(deployment(2, "b", strategy={"type": "Recreate"}), 1)
    assert writes(deployments.plan(web, [old], NOW).actions) == [
        ("ReplicaSet", old["metadata"]["name"], {"spec": {"replicas": 0}})
    ]
    old["spec"]["replicas"] = 0
    assert writes(deployments.plan(web, [old], NOW).actions) == []
    old["status"]["replicas"] = 0
    assert writes(deployments.plan(web, [old], NOW).actions)[0] == ("create", 2)


def test_roll_back_takes_the_old_replica_set_and_the_next_number() -> None:
    first, second = owned(deployment(2), 0, revision=1), owned(deployment(2, "b"), 2, revision=2)
    web = numbered(deployment(2), 2)
    name = first["metadata"]["name"]
    patch = {"spec": {"replicas": 1}, "metadata": {"annotations": {"deployment.kubernetes.io/revision": "3"}}}
    assert writes(deployments.plan(web, [first, second], NOW).actions)[0] == ("ReplicaSet", name, patch)


def test_paused_rolls_nothing_but_scales() -> None:
    old = owned(deployment(2), 2)
    web = numbered(deployment(4, "b", paused=True), 1)
    actions = deployments.plan(web, [old], NOW).actions
    assert writes(actions) == [("ReplicaSet", old["metadata"]["name"], {"spec": {"replicas": 4}})]
    assert conditions.find(status(actions)["conditions"], "Progressing")["reason"] == "DeploymentPaused"


def test_history_is_cut_from_the_old_end() -> None:
    olds = [owned(deployment(1, f"v{number}"), 0, revision=number) for number in range(1, 5)]
    web = numbered(deployment(1, "v9", revisionHistoryLimit=2), 9)
    actions = deployments.plan(web, [*olds, owned(web, 1, revision=9)], NOW).actions
    assert writes(actions) == [("delete", olds[0]["metadata"]["name"]), ("delete", olds[1]["metadata"]["name"])]


def test_a_deleted_deployment_is_left_alone() -> None:
    web = deployment()
    web["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert deployments.plan(web, [], NOW).actions == []


def test_complete_status() -> None:
    web = numbered(deployment(2), 1)
    plan = deployments.plan(web, [owned(web, 2)], NOW)
    found = status(plan.actions)
    progressing = conditions.find(found["conditions"], "Progressing")
    assert {key: found[key] for key in found if key != "conditions"} == {
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "unavailableReplicas": 0,
        "observedGeneration": 1,
    }
    assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")
    assert plan.again_in_s is None
    web["status"] = found
    assert deployments.plan(web, [owned(web, 2)], NOW + 999).actions == [], "nothing changes, nothing is written"


def test_the_progress_deadline() -> None:
    web = numbered(deployment(2, progressDeadlineSeconds=60), 1)
    stuck = owned(web, 2, available=0)
    plan = deployments.plan(web, [stuck], NOW)
    web["status"] = status(plan.actions)
    assert plan.again_in_s is not None
    assert 60 <= plan.again_in_s <= 61
    assert conditions.find(web["status"]["conditions"], "Progressing")["reason"] == "ReplicaSetUpdated"
    late = status(deployments.plan(web, [stuck], NOW + 61).actions)
    progressing = conditions.find(late["conditions"], "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    web["status"] = late
    assert deployments.plan(web, [stuck], NOW + 90).actions == []
    recovered = status(deployments.plan(web, [owned(web, 2, available=1)], NOW + 100).actions)
    assert conditions.find(recovered["conditions"], "Progressing")["reason"] == "ReplicaSetUpdated"


def test_available_follows_the_limit() -> None:
    web = numbered(deployment(4), 1)
    for available, expected in ((4, "True"), (3, "True"), (2, "False")):
        found = status(deployments.plan(web, [owned(web, 4, available=available)], NOW).actions)
        assert conditions.find(found["conditions"], "Available")["status"] == expected
