"""Taking objects apart, merging them and removing paths, by the shapes of built-in and custom kinds."""

import pytest

from cluster.api.leaves import leaves, merged, without
from cluster.api.shapes import Shape, shape_of

POD = Shape("Pod")
SERVICE = Shape("Service")
SCHEMA = {
    "properties": {
        "spec": {
            "properties": {
                "targets": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["host", "port"],
                    "items": {"properties": {"port": {"default": 80}, "more": {}}},
                },
                "tags": {"x-kubernetes-list-type": "set"},
                "atomic": {"x-kubernetes-map-type": "atomic"},
                "list": {"items": {}},
                "map": {"additionalProperties": {"x-kubernetes-map-type": "atomic"}},
            }
        }
    }
}
CUSTOM = Shape(schema=SCHEMA)


def paths(obj, shape):
    return {"/".join(path): value for path, value in leaves(obj, shape).items()}


def test_leaves_of_a_pod():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "labels": {"a": "b"}, "finalizers": ["f"]},
        "spec": {
            "containers": [{"name": "a", "ports": [{"containerPort": 80}], "args": ["x"]}],
            "tolerations": [{"key": "k"}],
            "nodeSelector": {"a": "b"},
            "volumes": [],
        },
    }
    a = 'f:spec/f:containers/k:{"name":"a"}'
    port = f'{a}/f:ports/k:{{"containerPort":80,"protocol":"TCP"}}'
    assert paths(pod, POD) == {
        "f:metadata/f:labels/f:a": "b",
        'f:metadata/f:finalizers/v:"f"': True,
        a: True,
        f"{a}/f:name": "a",
        f"{a}/f:args": ["x"],
        port: True,
        f"{port}/f:containerPort": 80,
        "f:spec/f:tolerations": [{"key": "k"}],
        "f:spec/f:nodeSelector": {"a": "b"},
        "f:spec/f:volumes": [],
    }


def test_leaves_of_a_custom_object():
    obj = {
        "metadata": {"name": "a", "finalizers": ["f"]},
        "spec": {
            "targets": [{"host": "h"}],
            "tags": ["t"],
            "atomic": {"a": 1},
            "list": [{"a": 1}],
            "map": {"k": {"a": 1}},
            "unknown": {"deep": 1},
        },
    }
    target = 'f:spec/f:targets/k:{"host":"h","port":80}'
    assert paths(obj, CUSTOM) == {
        'f:metadata/f:finalizers/v:"f"': True,
        target: True,
        f"{target}/f:host": "h",
        'f:spec/f:tags/v:"t"': True,
        "f:spec/f:atomic": {"a": 1},
        "f:spec/f:list": [{"a": 1}],
        "f:spec/f:map/f:k": {"a": 1},
        "f:spec/f:unknown/f:deep": 1,
    }


@pytest.mark.parametrize("env", [[{"value": "nameless"}], [{"name": "a"}, {"name": "a"}], ["text"]])
def test_a_list_whose_items_cannot_be_told_apart_is_one_value(env):
    obj = {"spec": {"containers": [{"name": "a", "env": env}]}}
    assert paths(obj, POD)['f:spec/f:containers/k:{"name":"a"}/f:env'] == env


def names(*items):
    return [{"name": item} for item in items]


ORDER = [
    ("ab", "a", "ab"),
    ("ab", "b", "ab"),
    ("axb", "ba", "axba"),
    ("ab", "c", "abc"),
    ("", "ba", "ba"),
    ("abc", "cab", None),
]


@pytest.mark.parametrize(("live", "applied", "expected"), ORDER)
def test_order_of_merged_items(live, applied, expected):
    def merge(before):
        return merged({"spec": {"volumes": before}}, {"spec": {"volumes": names(*applied)}}, POD)["spec"]["volumes"]

    once = merge(names(*live))
    assert sorted(item["name"] for item in once) == sorted({*live, *applied})
    stated = [item["name"] for item in once if item["name"] in applied]
    assert stated == list(applied)
    assert merge(once) == once


MERGES = [
    (POD, {"spec": {"a": 1, "b": {"c": 1}}}, {"spec": {"b": {"d": 2}}}, {"spec": {"a": 1, "b": {"c": 1, "d": 2}}}),
    (POD, {"spec": {"a": 1, "b": 2}}, {"spec": {"a": None}}, {"spec": {"b": 2}}),
    (
        POD,
        {"spec": {"nodeSelector": {"a": "1"}}},
        {"spec": {"nodeSelector": {"b": "2"}}},
        {"spec": {"nodeSelector": {"b": "2"}}},
    ),
    (
        SERVICE,
        {"spec": {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30000}]}},
        {"spec": {"ports": [{"port": 80, "name": "h"}]}},
        {"spec": {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30000, "name": "h"}]}},
    ),
    (CUSTOM, {"spec": {"tags": ["a", "b"]}}, {"spec": {"tags": ["c", "a"]}}, None),
    (CUSTOM, {"spec": {"list": [1, 2]}}, {"spec": {"list": [3]}}, {"spec": {"list": [3]}}),
    (CUSTOM, {"spec": "text"}, {"spec": {"a": 1}}, {"spec": {"a": 1}}),
    (CUSTOM, {}, {"spec": {"a": {"b": None}}}, {"spec": {"a": {}}}),
]


@pytest.mark.parametrize(("shape", "live", "applied", "expected"), MERGES)
def test_merged(shape, live, applied, expected):
    result = merged(live, applied, shape)
    if expected is None:
        assert sorted(result["spec"]["tags"]) == ["a", "b", "c"]
    else:
        assert result == expected


def without_texts(obj, *texts, shape=POD):
    return without(obj, {tuple(text.split("/")) for text in texts}, shape)


REMOVALS = [
    ({"spec": {"a": 1, "b": 2}}, ["f:spec/f:a"], {"spec": {"b": 2}}),
    ({"spec": {"a": {"b": 1}}}, ["f:spec/f:a/f:b"], {"spec": {}}),
    ({"data": {"a": "1"}}, ["f:data/f:a"], {}),
    (
        {"metadata": {"name": "x", "labels": {"a": "1"}}},
        ["f:metadata", "f:metadata/f:labels"],
        {"metadata": {"name": "x"}},
    ),
    ({"spec": {"volumes": names("a", "b")}}, ['f:spec/f:volumes/k:{"name":"a"}'], {"spec": {"volumes": names("b")}}),
    (
        {"spec": {"volumes": [{"name": "a", "x": 1}]}},
        ['f:spec/f:volumes/k:{"name":"a"}/f:x', 'f:spec/f:volumes/k:{"name":"a"}/f:name'],
        {"spec": {}},
    ),
    (
        {"spec": {"volumes": [{"name": "a", "x": 1, "y": 2}]}},
        ['f:spec/f:volumes/k:{"name":"a"}/f:x', 'f:spec/f:volumes/k:{"name":"a"}/f:name'],
        {"spec": {"volumes": [{"name": "a", "y": 2}]}},
    ),
    ({"metadata": {"finalizers": ["a", "b"]}}, ['f:metadata/f:finalizers/v:"a"'], {"metadata": {"finalizers": ["b"]}}),
    (
        {"spec": {"tolerations": [{"key": "a"}]}},
        ["f:spec/f:tolerations/f:x"],
        {"spec": {"tolerations": [{"key": "a"}]}},
    ),
]


@pytest.mark.parametrize(("obj", "texts", "expected"), REMOVALS)
def test_without(obj, texts, expected):
    assert without_texts(obj, *texts) == expected


def test_shape_of():
    assert shape_of({"apiVersion": "v1", "kind": "Service"}, None) == Shape("Service")
    assert shape_of({"apiVersion": "serving.knative.dev/v1", "kind": "Service"}, None) == Shape(schema={})
    assert shape_of({"kind": "Any"}, SCHEMA) == CUSTOM
