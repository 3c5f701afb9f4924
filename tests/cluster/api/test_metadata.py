"""Rules of metadata, of generations and of the end of objects, apart from any server."""

from __future__ import annotations

import pytest

from cluster.api import lifecycle, metadata
from cluster.api.builtin_kinds import builtin_kinds
from cluster.api.kinds import Kind, Registry
from tidegate.kube.api import Object

REGISTRY = Registry(builtin_kinds())
BOAT = Kind("sea.dev", "v1", "boats", "Boat", is_custom=True, subresources=frozenset({"status"}))
PLAIN_BOAT = Kind("sea.dev", "v1", "boats", "Boat", is_custom=True)


def kind(plural: str, group: str = "") -> Kind:
    found = REGISTRY.find(group, "v1", plural)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("plural", "name", "good"),
    [
        ("configmaps", "a.b-c", True),
        ("configmaps", "A", False),
        ("configmaps", "a" * 254, False),
        ("services", "1a", False),
        ("services", "a1", True),
        ("namespaces", "1a", True),
        ("namespaces", "a.b", False),
    ],
)
def test_names(plural: str, name: str, good: bool) -> None:
    assert (metadata.check({"metadata": {"name": name}}, kind(plural)) == []) is good


def test_names_of_roles_only_have_to_survive_in_a_path() -> None:
    roles = kind("roles", "rbac.authorization.k8s.io")
    assert metadata.check({"metadata": {"name": "system:Reader"}}, roles) == []
    assert metadata.check({"metadata": {"name": "a/b"}}, roles)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"labels": {"a": 1}}, "metadata.labels"),
        ({"labels": {"a": "x" * 64}}, "metadata.labels"),
        ({"annotations": {"bad key": "x"}}, "metadata.annotations"),
        ({"annotations": {"a": "x" * (257 << 10)}}, "metadata.annotations"),
        ({"ownerReferences": [{"kind": "Pod"}]}, "metadata.ownerReferences"),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "P", "name": n, "uid": n, "controller": True} for n in "ab"
                ]
            },
            "metadata.ownerReferences",
        ),
    ],
)
def test_what_is_wrong_is_named(more: Object, path: str) -> None:
    assert metadata.check({"metadata": {"name": "a"} | more}, kind("pods"))[0][0] == path


def test_begin_takes_nothing_of_the_servers_from_the_client() -> None:
    obj: Object = {"metadata": {"generateName": "x" * 70, "uid": "mine", "deletionTimestamp": "t", "namespace": "z"}}
    metadata.begin(obj, kind("pods"), "ns", "uid", "now", "abcde")
    made = obj["metadata"]
    assert (made["uid"], made["namespace"], made["creationTimestamp"], made["generation"]) == ("uid", "ns", "now", 1)
    assert made["name"] == "x" * 58 + "abcde"
    assert "deletionTimestamp" not in made


@pytest.mark.parametrize(
    ("which", "change", "bumped"),
    [
        (BOAT, {"spec": {"a": 2}}, True),
        (BOAT, {"status": {"a": 2}}, False),
        (BOAT, {"metadata": {"generation": 1, "labels": {"a": "b"}}}, False),
        (PLAIN_BOAT, {"status": {"a": 2}}, True),
        (kind("deployments", "apps"), {"spec": {"a": 2}}, True),
        (kind("configmaps"), {"data": {"a": "b"}}, None),
    ],
)
def test_generations(which: Kind, change: Object, bumped: bool | None) -> None:
    old: Object = {"metadata": {"generation": 1}, "spec": {"a": 1}, "status": {"a": 1}}
    new: Object = {"metadata": {}, "spec": {"a": 1}, "status": {"a": 1}} | change
    new["metadata"] = dict(new["metadata"])
    metadata.bump_generation(old, new, which)
    expected = None if bumped is None else 2 if bumped else 1
    assert new["metadata"].get("generation") == expected


def test_same_looks_past_versions_times_and_empty_fields() -> None:
    old: Object = {"metadata": {"name": "a", "resourceVersion": "1", "managedFields": [{"manager": "m", "time": "1"}]}}
    new: Object = {
        "metadata": {
            "name": "a",
            "resourceVersion": "2",
            "labels": {},
            "managedFields": [{"manager": "m", "time": "2"}],
        }
    }
    assert metadata.is_same(old, new)
    new["metadata"]["managedFields"][0]["manager"] = "n"
    assert not metadata.is_same(old, new)


MARKED = {"deletionTimestamp": "t"}


@pytest.mark.parametrize(
    ("plural", "obj", "finished"),
    [
        ("pods", {"metadata": {}}, False),
        ("pods", {"metadata": MARKED}, True),
        ("pods", {"metadata": MARKED | {"finalizers": ["x"]}}, False),
        ("pods", {"metadata": MARKED | {"deletionGracePeriodSeconds": 5}}, False),
        ("pods", {"metadata": MARKED | {"deletionGracePeriodSeconds": 0}}, True),
        ("namespaces", {"metadata": MARKED, "spec": {"finalizers": ["kubernetes"]}}, False),
        ("namespaces", {"metadata": MARKED, "spec": {}}, True),
    ],
)
def test_when_a_deletion_is_complete(plural: str, obj: Object, finished: bool) -> None:
    assert lifecycle.is_finished(kind(plural), obj) is finished


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "grace"),
    [
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, "Running", None, 5),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, "Running", 9, 9),
        ({"nodeName": "n"}, "Running", 0, 0),
        ({"nodeName": "n"}, "Failed", None, 0),
        ({"nodeName": "n"}, "Succeeded", 9, 0),
        ({}, "Pending", 9, 0),
    ],
)
def test_grace_of_pods(spec: Object, phase: str, asked: int | None, grace: int) -> None:
    obj = {"metadata": {}, "spec": spec, "status": {"phase": phase}}
    assert lifecycle.grace_s(kind("pods"), obj, asked) == grace
    assert lifecycle.grace_s(kind("configmaps"), obj, asked) == 0
