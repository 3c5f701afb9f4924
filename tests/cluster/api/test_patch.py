"""JSON patch and JSON merge patch: the examples of RFC 6902 and RFC 7386, and their laws."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.json_values import copied, same
from cluster.api.patch import PatchError, json_patch, merge_patch

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.text("abc", max_size=2), json_values, max_size=4)

MERGE = [  # RFC 7386, appendix A (those whose target and patch are objects) and nesting
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": "b"}, {"a": {"c": 1, "d": None}}, {"a": {"c": 1}}),
]


@pytest.mark.parametrize(("obj", "patch", "expected"), MERGE)
def test_merge_patch(obj, patch, expected):
    assert merge_patch(obj, patch) == expected


def test_merge_patch_must_be_an_object():
    with pytest.raises(PatchError):
        merge_patch({}, ["a"])


def test_merge_patch_keeps_the_order_of_keys():
    assert list(merge_patch({"a": 1, "b": 2, "c": 3}, {"b": 4, "d": 5})) == ["a", "b", "c", "d"]


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(objects, objects)
def test_merge_patch_laws(obj, patch):
    before = copy.deepcopy((obj, patch))
    once = merge_patch(obj, patch)
    assert (obj, patch) == before
    assert merge_patch(once, patch) == once
    assert merge_patch(obj, {}) == obj
    assert merge_patch({}, obj) == without_nulls(obj)


JSON = [
    ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": [2]}], {"a": [1, [2]]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
    ({"a": 1}, [{"op": "add", "path": "", "value": {"b": 1}}], {"b": 1}),
    ({"a": 1}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
    ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
    ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
    ({"a": [1]}, [{"op": "replace", "path": "/a/0", "value": 2}], {"a": [2]}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
    ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
    ({"a/b": {"~": 1}}, [{"op": "replace", "path": "/a~1b/~0", "value": 2}], {"a/b": {"~": 2}}),
    ({"~1": 1}, [{"op": "test", "path": "/~01", "value": 1}], {"~1": 1}),
    ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
    ({"1": 1}, [{"op": "remove", "path": "/1"}], {}),
    ({"a": 1}, [{"op": "test", "path": "", "value": {"a": 1}}], {"a": 1}),
]


@pytest.mark.parametrize(("obj", "ops", "expected"), JSON)
def test_json_patch(obj, ops, expected):
    before = copy.deepcopy((obj, ops))
    assert json_patch(obj, ops) == expected
    assert (obj, ops) == before


BAD = [
    {"op": "test", "path": "/a", "value": 2},
    {"op": "test", "path": "/a", "value": True},
    {"op": "test", "path": "/missing", "value": None},
    {"op": "test", "path": "/a"},
    {"op": "remove", "path": "/missing"},
    {"op": "remove", "path": "/l/2"},
    {"op": "remove", "path": ""},
    {"op": "replace", "path": "/missing", "value": 1},
    {"op": "add", "path": "/x/y", "value": 1},
    {"op": "add", "path": "/l/3", "value": 1},
    {"op": "add", "path": "/l/01", "value": 1},
    {"op": "add", "path": "/l/-1", "value": 1},
    {"op": "add", "path": "/l/x", "value": 1},
    {"op": "add", "path": "/a/b", "value": 1},
    {"op": "add", "path": "a", "value": 1},
    {"op": "add", "value": 1},
    {"op": "add", "path": "", "value": [1]},
    {"op": "move", "from": "/m", "path": "/m/x"},
    {"op": "copy", "from": "/missing", "path": "/b"},
    {"op": "copy", "path": "/b"},
    {"op": "merge", "path": "/a"},
    {"path": "/a"},
    "add",
]


@pytest.mark.parametrize("operation", BAD)
def test_json_patch_refuses(operation):
    obj = {"a": 1, "l": [1, 2], "m": {}}
    with pytest.raises(PatchError):
        json_patch(obj, [{"op": "add", "path": "/first", "value": 1}, operation])
    assert obj == {"a": 1, "l": [1, 2], "m": {}}


@pytest.mark.parametrize("ops", [{}, "x", [{"op": "test", "path": "", "value": {}}] * 10_001])
def test_json_patch_must_be_a_bounded_list(ops):
    with pytest.raises(PatchError):
        json_patch({}, ops)


def test_a_copied_value_is_not_shared():
    patched = json_patch(
        {"a": {}}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/x", "value": 1}]
    )
    assert patched == {"a": {}, "b": {"x": 1}}


@given(objects)
def test_replacing_the_whole_document(obj):
    assert same(json_patch({"x": 1}, [{"op": "replace", "path": "", "value": obj}]), obj)


@given(json_values)
def test_copied(value):
    assert same(copied(value), value)


def test_same_tells_truth_from_one():
    assert not same({"a": [True]}, {"a": [1]})
    assert same({"a": [1.0]}, {"a": [1]})
    assert not same([1], [1, 1])
    assert not same({}, [])
