"""The small plans: garbage collection, node lifecycle, namespaces; conditions, times, quantities."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cluster import quantities, timestamps
from cluster.controllers import conditions, namespaces, nodes, owners
from cluster.controllers.actions import Create, Delete, Finalize, Patch, PatchStatus
from cluster.controllers.conditions import Condition
from tidegate.kube import resources
from tidegate.kube.api import Object

NOW = 1_800_000_000.0


def owned(*uids: str, finalizers: list[str] | None = None) -> Object:
    references = [
        {"apiVersion": "v1", "kind": "K", "name": uid, "uid": uid, "blockOwnerDeletion": True} for uid in uids
    ]
    return {
        "metadata": {"name": "x", "namespace": "d", "uid": "x", "ownerReferences": references, "finalizers": finalizers}
    }


def owner(uid: str, *finalizers: str, deleting: bool = False) -> Object:
    metadata: Object = {"name": uid, "namespace": "d", "uid": uid, "finalizers": list(finalizers)}
    return {"metadata": {**metadata, **({"deletionTimestamp": "t"} if deleting else {})}}


FOREGROUND = owner("a", owners.FOREGROUND, deleting=True)
FATES: list[tuple[Object, dict[str, Object | None], Any]] = [
    (owned("a"), {"a": owner("a")}, None),
    (owned("a"), {"a": None}, Delete),
    (owned("a", "b"), {"a": None, "b": owner("b")}, Patch),
    (owned("a", "b"), {"a": None, "b": None}, Delete),
    (owned("a"), {"a": FOREGROUND}, Delete),
    (owned("a", "b"), {"a": FOREGROUND, "b": owner("b")}, None),
    (owned("a"), {"a": owner("a", "other", deleting=True)}, None),
    (owned(), {}, None),
]


@pytest.mark.parametrize(("obj", "known", "action"), FATES)
def test_dependents(obj: Object, known: dict[str, Object | None], action: Any) -> None:
    actions = owners.plan_dependent(resources.PODS, obj, known).actions
    assert [type(one) for one in actions] == ([action] if action else [])


def test_a_reference_to_a_gone_owner_is_dropped() -> None:
    (patch,) = owners.plan_dependent(resources.PODS, owned("a", "b"), {"a": None, "b": owner("b")}).actions
    assert isinstance(patch, Patch)
    assert [one["uid"] for one in patch.patch["metadata"]["ownerReferences"]] == ["b"]


def test_foreground_owner_waits_for_blocking_dependents() -> None:
    assert owners.plan_owner(resources.PODS, FOREGROUND, [(resources.PODS, owned("a"))]).actions == []
    (patch,) = owners.plan_owner(resources.PODS, FOREGROUND, []).actions
    assert isinstance(patch, Patch)
    assert patch.patch["metadata"]["finalizers"] is None


def test_orphans_are_let_go_before_their_owner() -> None:
    gone = owner("a", owners.ORPHAN, "mine", deleting=True)
    first, second = owners.plan_owner(resources.PODS, gone, [(resources.SECRETS, owned("a", "b"))]).actions
    assert isinstance(first, Patch)
    assert [one["uid"] for one in first.patch["metadata"]["ownerReferences"]] == ["b"]
    assert isinstance(second, Patch)
    assert second.patch["metadata"]["finalizers"] == ["mine"]


def node(status: str = "True", age_s: float = 1000.0) -> Object:
    metadata = {"name": "n", "creationTimestamp": timestamps.text(NOW - age_s)}
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": status}]}}


def lease(age_s: float) -> Object:
    return {"spec": {"renewTime": timestamps.micro_text(NOW - age_s)}}


def ready_pod() -> Object:
    return {
        "metadata": {"name": "p", "namespace": "d"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_a_fresh_lease_sets_the_next_look() -> None:
    plan = nodes.plan(node(), lease(10.0), [ready_pod()], NOW)
    assert plan.actions == []
    assert plan.again_in_s == pytest.approx(30.1)


def test_a_new_node_has_time_for_its_first_lease() -> None:
    assert nodes.plan(node(age_s=5.0), None, [], NOW).actions == []


def test_a_stale_lease_makes_node_and_pods_not_ready() -> None:
    first, second = nodes.plan(node(), lease(60.0), [ready_pod()], NOW).actions
    assert isinstance(first, PatchStatus)
    assert conditions.find(first.status["conditions"], "Ready")["status"] == "Unknown"
    assert isinstance(second, PatchStatus)
    assert conditions.find(second.status["conditions"], "Ready")["status"] == "False"
    assert nodes.plan(node("Unknown"), lease(60.0), [], NOW).actions == []


def test_a_control_plane_that_was_down_gives_the_node_time_to_renew() -> None:
    plan = nodes.plan(node(), lease(60.0), [ready_pod()], NOW, watched_since=NOW - 5.0)
    assert plan.actions == []
    assert plan.again_in_s == pytest.approx(35.1)


def test_deleted_pods_of_a_lost_node_go() -> None:
    gone: Object = {"metadata": {"name": "p", "namespace": "d", "uid": "u", "deletionTimestamp": "t"}}
    (delete,) = nodes.plan_lost_pods([gone, ready_pod()]).actions
    assert isinstance(delete, Delete)
    assert (delete.name, delete.grace_s) == ("p", 0)


def test_a_namespace_gets_what_it_lacks() -> None:
    living: Object = {"metadata": {"name": "shop"}}
    kinds = [
        one.object["kind"]
        for one in namespaces.plan_active(living, False, False, "PEM").actions
        if isinstance(one, Create)
    ]
    assert kinds == ["ServiceAccount", "ConfigMap"]
    assert namespaces.plan_active(living, True, True, "PEM").actions == []
    assert namespaces.plan_active(living, True, False, "").actions == []


def test_a_deleted_namespace_is_emptied_then_finalized() -> None:
    gone: Object = {"metadata": {"name": "shop", "deletionTimestamp": "t"}, "spec": {"finalizers": ["kubernetes", "x"]}}
    content: Object = {"metadata": {"name": "a", "uid": "1"}}
    going: Object = {"metadata": {"name": "b", "uid": "2", "deletionTimestamp": "t"}}
    plan = namespaces.plan_deletion(gone, [(resources.SECRETS, content), (resources.PODS, going)])
    assert [one.name for one in plan.actions if isinstance(one, Delete)] == ["a"]
    assert plan.again_in_s
    (finalize,) = namespaces.plan_deletion(gone, []).actions
    assert isinstance(finalize, Finalize)
    assert finalize.object["spec"]["finalizers"] == ["x"]
    assert namespaces.plan_deletion({"metadata": {"name": "shop"}}, []).actions == []


def test_conditions_keep_their_transition_time() -> None:
    first = conditions.merged([{"type": "Other"}], [Condition("A", "True", "R")], NOW)
    again = conditions.merged(first, [Condition("A", "True", "S", "m")], NOW + 60, updated=True)
    assert [one["type"] for one in again] == ["Other", "A"]
    assert again[1]["lastTransitionTime"] == timestamps.text(NOW)
    assert again[1]["lastUpdateTime"] == timestamps.text(NOW + 60)
    flipped = conditions.merged(again, [Condition("A", "False", "R")], NOW + 90)
    assert flipped[1]["lastTransitionTime"] == timestamps.text(NOW + 90)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", "0.25"),
        ("1Gi", str(2**30)),
        ("2e3", "2000"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        (2, "2"),
        ("3k", "3000"),
        ("1E", "1e18"),
    ],
)
def test_quantities(text: Any, value: str) -> None:
    assert quantities.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1Zi", "1 m m"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantities.parse(text)


def test_times() -> None:
    assert timestamps.text(NOW) == "2027-01-15T08:00:00Z"
    assert timestamps.micro_text(NOW + 0.25) == "2027-01-15T08:00:00.250000Z"
    assert timestamps.unix_s("2027-01-15T08:00:00.25Z") == NOW + 0.25
    assert timestamps.unix_s(None) == timestamps.unix_s("soon") == 0.0
