"""Defaulting, pruning and unknown fields under a CRD's schema."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api import schema

OBJECT, STRING = {"type": "object"}, {"type": "string"}
SPEC = {
    "type": "object",
    "properties": {
        "name": STRING,
        "size": {"type": "integer", "default": 3},
        "mode": {"type": "object", "default": {}, "properties": {"kind": {"type": "string", "default": "slow"}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"inner": OBJECT}},
        "labels": {"type": "object", "additionalProperties": STRING},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"default": 1}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"default": 80}, "x": STRING}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": OBJECT}},
        "any": {"type": "object", "additionalProperties": True},
        "maybe": {"type": "string", "nullable": True, "default": "d"},
    },
}
ROOT = {"type": "object", "properties": {"spec": SPEC, "status": {"type": "object"}}}


def obj(**spec):
    return {"apiVersion": "e/v1", "kind": "Foo", "metadata": {"name": "a"}, "spec": spec}


DEFAULTS = {"size": 3, "mode": {"kind": "slow"}, "maybe": "d"}
DEFAULT_CASES = [
    ({}, DEFAULTS),
    ({"size": 5}, DEFAULTS | {"size": 5}),
    ({"size": None}, DEFAULTS),
    ({"maybe": None}, DEFAULTS | {"maybe": None}),
    ({"mode": {"kind": "fast"}}, DEFAULTS | {"mode": {"kind": "fast"}}),
    ({"list": [{}, {"port": 1}]}, DEFAULTS | {"list": [{"port": 80}, {"port": 1}]}),
    ({"map": {"k": {}, "l": {"a": 2}}}, DEFAULTS | {"map": {"k": {"a": 1}, "l": {"a": 2}}}),
    ({"name": None}, DEFAULTS),
    ({"list": "wrong", "map": 1}, DEFAULTS | {"list": "wrong", "map": 1}),
]


@pytest.mark.parametrize(("spec", "expected"), DEFAULT_CASES)
def test_default(spec, expected):
    given_obj = obj(**spec)
    before = copy.deepcopy(given_obj)
    assert schema.default(given_obj, ROOT)["spec"] == expected
    assert given_obj == before


def test_defaults_are_not_shared_between_objects():
    first = schema.default(obj(), ROOT)
    first["spec"]["mode"]["kind"] = "changed"
    assert schema.default(obj(), ROOT)["spec"]["mode"]["kind"] == "slow"


PRUNE_CASES = [
    ({"name": "a"}, {"name": "a"}, []),
    ({"name": "a", "extra": 1}, {"name": "a"}, ["spec.extra"]),
    ({"mode": {"kind": "x", "extra": 1}}, {"mode": {"kind": "x"}}, ["spec.mode.extra"]),
    ({"free": {"a": {"b": 1}, "inner": {"c": 1}}}, {"free": {"a": {"b": 1}, "inner": {}}}, ["spec.free.inner.c"]),
    ({"labels": {"a": "b"}}, {"labels": {"a": "b"}}, []),
    ({"map": {"k": {"a": 1, "z": 1}}}, {"map": {"k": {"a": 1}}}, ["spec.map.k.z"]),
    ({"list": [{"x": "y"}, {"z": 1}]}, {"list": [{"x": "y"}, {}]}, ["spec.list[1].z"]),
    (
        {"template": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "z": 1}},
        {"template": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}}},
        ["spec.template.z"],
    ),
    ({"any": {"a": {"b": 1}}}, {"any": {"a": {"b": 1}}}, []),
    ({"name": {"wrong": "type"}}, {"name": {}}, ["spec.name.wrong"]),
]


@pytest.mark.parametrize(("spec", "expected", "unknown"), PRUNE_CASES)
def test_prune(spec, expected, unknown):
    given_obj = obj(**spec)
    before = copy.deepcopy(given_obj)
    assert schema.prune(given_obj, ROOT) == obj(**expected)
    assert schema.unknown_fields(given_obj, ROOT) == unknown
    assert given_obj == before


def test_the_root_keeps_what_makes_it_an_object():
    whole = obj() | {"status": {"a": 1}, "extra": 1}
    assert schema.prune(whole, ROOT) == obj() | {"status": {}}
    assert schema.unknown_fields(whole, ROOT) == ["status.a", "extra"]
    assert schema.prune(whole, {"x-kubernetes-preserve-unknown-fields": True, "type": "object"}) is whole


def test_an_unchanged_object_is_returned_as_it_is():
    good = obj(name="a", list=[{"x": "y", "port": 1}], **DEFAULTS)
    assert schema.prune(good, ROOT) is good
    assert schema.default(good, ROOT) is good


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SPEC["properties"], "x"]), inner),
    max_leaves=12,
)


@given(values)
def test_laws(value):
    thing = {"spec": value}
    pruned, filled = schema.prune(thing, ROOT), schema.default(thing, ROOT)
    assert schema.prune(pruned, ROOT) == pruned
    assert schema.unknown_fields(pruned, ROOT) == []
    assert schema.default(filled, ROOT) == filled
    assert bool(schema.unknown_fields(thing, ROOT)) is (pruned != thing)
    schema.validate(thing, ROOT)
