"""A dictionary of objects that are kept small, and are what they were when somebody asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.packed import PackedObjects

NAMES = st.sampled_from([("default", "a"), ("default", "b"), ("other", "a"), ("", "c")])
OBJECTS = st.fixed_dictionaries({"spec": st.dictionaries(st.text(max_size=3), st.integers(-5, 5), max_size=3)})


@given(st.lists(st.tuples(NAMES, st.none() | OBJECTS), max_size=40), st.integers(0, 3))
def test_it_is_a_dictionary(steps, warm):
    packed, plain = PackedObjects(warm), {}
    for key, obj in steps:
        if obj is None:
            assert (key in packed) == (key in plain)
            assert packed.pop(key, None) == plain.pop(key, None)
        else:
            packed[key] = plain[key] = obj
        assert dict(packed) == plain
        assert len(packed) == len(plain)
        assert packed.get(key) == plain.get(key)


def test_what_has_gone_is_gone():
    packed = PackedObjects(1)
    for name in "ab":
        packed["default", name] = {"metadata": {"name": name}}
    del packed["default", "a"]
    del packed["default", "b"]
    with pytest.raises(KeyError):
        packed["default", "a"]
    with pytest.raises(KeyError):
        del packed["default", "a"]


def test_objects_alike_take_a_fraction():
    packed = PackedObjects(0)
    text = "something that all of them have in common, and that is long"
    for number in range(100):
        packed["default", f"app-{number}"] = {"metadata": {"name": f"app-{number}", "labels": {text: text}}}
    assert max(map(len, list(packed._packed.values())[1:])) < 40
