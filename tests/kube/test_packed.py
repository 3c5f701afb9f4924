"""A dictionary of objects that are kept small, and are what they were when somebody asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.packed import COOL, PART_LIMIT, PackedObjects, Shelf

NAMES = st.sampled_from([("default", "a"), ("default", "b"), ("other", "a"), ("", "c")])
OBJECTS = st.fixed_dictionaries({"spec": st.dictionaries(st.text(max_size=3), st.integers(-5, 5), max_size=3)})


@given(st.lists(st.tuples(NAMES, st.none() | OBJECTS), max_size=40), st.integers(0, 3))
def test_it_is_a_dictionary(steps, warm):
    packed, plain = PackedObjects(warm=warm), {}
    for number, (key, obj) in enumerate(steps):
        if number % 5 == 4:
            packed.cool()
        if obj is None:
            assert (key in packed) == (key in plain)
            assert packed.pop(key, None) == plain.pop(key, None)
        else:
            packed[key] = plain[key] = obj
        assert dict(packed) == plain
        assert len(packed) == len(plain)
        assert packed.get(key) == plain.get(key)


def test_what_has_gone_is_gone():
    packed = PackedObjects(warm=1)
    for name in "ab":
        packed["default", name] = {"metadata": {"name": name}}
    del packed["default", "a"]
    del packed["default", "b"]
    with pytest.raises(KeyError):
        packed["default", "a"]
    with pytest.raises(KeyError):
        del packed["default", "a"]


PLACES = st.tuples(st.booleans(), st.sampled_from(["a", "b", "a-deployment", "b-deployment", "-deployment"]))


@given(st.lists(st.tuples(PLACES, st.none() | OBJECTS), max_size=40), st.integers(0, 3))
def test_two_that_share_a_shelf_are_two_dictionaries(steps, warm):
    shelf = Shelf()
    both = PackedObjects(warm=warm, shelf=shelf), PackedObjects(warm=warm, shelf=shelf, place=1, suffix="-deployment")
    plain = {}, {}
    for (second, name), obj in steps:
        key = ("default", name)
        if obj is None:
            assert both[second].pop(key, None) == plain[second].pop(key, None)
        else:
            both[second][key] = plain[second][key] = obj
        for packed, expected in zip(both, plain, strict=True):
            assert dict(packed) == expected
            assert len(packed) == len(expected)
    for packed in both:
        packed.clear()
    assert list(shelf.named()) == []


def test_what_is_at_rest_cools():
    packed = PackedObjects()
    for number in range(3 * COOL):
        packed["default", f"app-{number}"] = {"metadata": {"name": f"app-{number}"}}
    assert len(packed._warm) == 3 * COOL
    for left in (2, 1, 0, 0):
        packed.cool()
        assert len(packed._warm) == left * COOL
    assert packed["default", "app-1"] == {"metadata": {"name": "app-1"}}
    assert len(packed._warm) == 1


def test_what_is_too_large_for_a_shelf_is_kept_too():
    shelf = Shelf()
    packed = PackedObjects(warm=0, shelf=shelf)
    packed["default", "first"] = {}
    packed._packer.templates._limit = 0
    large = {"spec": {str(number * number): str(number**3) for number in range(PART_LIMIT // 6)}}
    packed["default", "a"] = large
    assert packed._odd
    assert packed["default", "a"] == large
    assert set(packed) == {("default", "a"), ("default", "first")}
    packed["default", "a"] = {"spec": {}}
    assert packed["default", "a"] == {"spec": {}}
    assert not packed._odd
    packed["default", "a"] = large
    del packed["default", "a"]
    assert list(packed) == [("default", "first")]


def test_objects_alike_take_a_fraction():
    shelf = Shelf()
    packed = PackedObjects(warm=0, shelf=shelf)
    text = "something that all of them have in common, and that is long"
    for number in range(100):
        packed["default", f"app-{number}"] = {"metadata": {"name": f"app-{number}", "labels": {text: text}}}
    assert max(map(len, list(shelf._rows.values()))) < 10
