"""Strategic merge patch: one row per rule, each as kubectl would send it."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.patch import PatchError, strategic_merge


def pod(**spec):
    return {"spec": spec}


def containers(*items):
    return pod(containers=list(items))


A, B = {"name": "a", "image": "1"}, {"name": "b", "image": "2"}

CASES = {
    "maps merge": ("Pod", pod(x={"a": 1, "b": 2}), pod(x={"b": 3}), pod(x={"a": 1, "b": 3})),
    "null deletes": ("Pod", pod(x=1, y=2), pod(x=None), pod(y=2)),
    "item by name": (
        "Pod",
        containers(A, B),
        containers({"name": "b", "image": "3"}),
        containers(A, {"name": "b", "image": "3"}),
    ),
    "new item is appended": ("Pod", containers(A), containers(B), containers(A, B)),
    "item is deleted": ("Pod", containers(A, B), containers({"name": "a", "$patch": "delete"}), containers(B)),
    "deleting a missing item": ("Pod", containers(A), containers({"name": "z", "$patch": "delete"}), containers(A)),
    "item is replaced": (
        "Pod",
        containers(A),
        containers({"name": "a", "$patch": "replace", "command": ["x"]}),
        containers({"name": "a", "command": ["x"]}),
    ),
    "list is replaced": ("Pod", containers(A), containers({"$patch": "replace"}, B), containers(B)),
    "map is replaced": ("Pod", pod(x={"a": 1}), pod(x={"$patch": "replace", "b": 2}), pod(x={"b": 2})),
    "map is emptied": ("Pod", pod(x={"a": 1}), pod(x={"$patch": "delete"}), pod(x={})),
    "merge is the default": ("Pod", pod(x={"a": 1}), pod(x={"$patch": "merge", "b": 2}), pod(x={"a": 1, "b": 2})),
    "env inside a container": (
        "Pod",
        containers({"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}),
        containers({"name": "a", "env": [{"name": "X", "value": "3"}, {"name": "Y", "$patch": "delete"}]}),
        containers({"name": "a", "env": [{"name": "X", "value": "3"}]}),
    ),
    "container ports": (
        "Pod",
        containers({"name": "a", "ports": [{"containerPort": 80, "name": "x"}]}),
        containers({"name": "a", "ports": [{"containerPort": 80, "name": "y"}, {"containerPort": 81}]}),
        containers({"name": "a", "ports": [{"containerPort": 80, "name": "y"}, {"containerPort": 81}]}),
    ),
    "service ports": (
        "Service",
        pod(ports=[{"port": 80, "targetPort": 1}, {"port": 81}]),
        pod(ports=[{"port": 80, "targetPort": 2}]),
        pod(ports=[{"port": 80, "targetPort": 2}, {"port": 81}]),
    ),
    "volume mounts": (
        "Pod",
        containers({"name": "a", "volumeMounts": [{"mountPath": "/a", "name": "v"}]}),
        containers({"name": "a", "volumeMounts": [{"mountPath": "/b", "name": "v"}]}),
        containers({"name": "a", "volumeMounts": [{"mountPath": "/a", "name": "v"}, {"mountPath": "/b", "name": "v"}]}),
    ),
    "tolerations are atomic": (
        "Pod",
        pod(tolerations=[{"key": "a"}]),
        pod(tolerations=[{"key": "b"}]),
        pod(tolerations=[{"key": "b"}]),
    ),
    "args are atomic": (
        "Pod",
        containers({"name": "a", "args": ["1"]}),
        containers({"name": "a", "args": ["2"]}),
        containers({"name": "a", "args": ["2"]}),
    ),
    "conditions by type": (
        "Pod",
        {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "X", "status": "True"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "True"}]}},
    ),
    "ownerReferences by uid": (
        "Pod",
        {"metadata": {"ownerReferences": [{"uid": "1"}]}},
        {"metadata": {"ownerReferences": [{"uid": "1", "$patch": "delete"}, {"uid": "2"}]}},
        {"metadata": {"ownerReferences": [{"uid": "2"}]}},
    ),
    "finalizers are a set": (
        "Pod",
        {"metadata": {"finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b", "a"]}},
        {"metadata": {"finalizers": ["a", "b"]}},
    ),
    "finalizers leave": (
        "Pod",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    "element order": (
        "Pod",
        containers(A, B),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "a", "image": "9"}],
            }
        },
        containers(B, {"name": "a", "image": "9"}),
    ),
    "element order keeps strangers behind their neighbour": (
        "Pod",
        containers(A, B),
        {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}},
        containers({"name": "c"}, A, B),
    ),
    "order of finalizers": (
        "Pod",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$setElementOrder/finalizers": ["b", "a"]}},
        {"metadata": {"finalizers": ["b", "a"]}},
    ),
    "retainKeys": (
        "Deployment",
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
    "nested template": (
        "Deployment",
        {"spec": {"template": containers(A)}},
        {"spec": {"template": containers({"name": "a", "image": "7"})}},
        {"spec": {"template": containers({"name": "a", "image": "7"})}},
    ),
    "directives do not leak": (
        "Pod",
        {},
        {"spec": {"x": {"$patch": "merge", "y": None, "z": 1}}},
        {"spec": {"x": {"z": 1}}},
    ),
    "webhooks by name": (
        "ValidatingWebhookConfiguration",
        {"webhooks": [{"name": "a", "x": 1}]},
        {"webhooks": [{"name": "a", "clientConfig": {"caBundle": "c"}}]},
        {"webhooks": [{"name": "a", "x": 1, "clientConfig": {"caBundle": "c"}}]},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_strategic_merge(case):
    kind, obj, patch, expected = case
    before = copy.deepcopy((obj, patch))
    assert strategic_merge(obj, patch, kind) == expected
    assert (obj, patch) == before


@pytest.mark.parametrize(
    "patch",
    [
        "x",
        {"spec": {"$patch": "explode"}},
        containers({"image": "nameless"}),
        containers("text"),
        {"spec": {"$retainKeys": "type"}},
        {"spec": {"$retainKeys": ["a"], "b": 1}},
    ],
)
def test_refused(patch):
    with pytest.raises(PatchError):
        strategic_merge(containers(A), patch, "Pod")


items = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc"), "image": st.sampled_from("123")}),
    unique_by=lambda item: item["name"],
    max_size=3,
)


@given(items, items)
def test_merging_twice_changes_nothing_more(old, new):
    once = strategic_merge(containers(*old), containers(*new), "Pod")
    assert strategic_merge(once, containers(*new), "Pod") == once
    names = [item["name"] for item in once["spec"]["containers"]]
    assert names[: len(old)] == [item["name"] for item in old]
    assert set(names) == {item["name"] for item in (*old, *new)}
