"""When a child needs an apply."""

import copy

import pytest

from controller.reconcile import metadata


def desired(**spec):
    return metadata.stamped({"kind": "X", "metadata": {"name": "a", "labels": {"l": "1"}}, "spec": spec})


def test_what_was_applied_needs_nothing():
    wanted = desired(a=1, b=[{"c": 2}])
    observed = copy.deepcopy(wanted)
    observed["spec"]["added"] = "by the server"
    observed["spec"]["b"][0]["also"] = True
    assert not metadata.needs_apply(observed, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        desired(a=2),
        desired(),
        desired(a=1, b=2),
        metadata.stamped({"kind": "X", "metadata": {"name": "a"}, "spec": {"a": 1}}),
    ],
)
def test_any_difference_in_what_is_asked_needs_an_apply(wanted):
    assert metadata.needs_apply(desired(a=1), wanted)


def test_a_change_by_somebody_else_needs_an_apply():
    observed = desired(a=1)
    observed["spec"]["a"] = 5
    assert metadata.needs_apply(observed, desired(a=1))
    assert metadata.needs_apply(None, desired(a=1))


@pytest.mark.parametrize(
    ("observed", "wanted", "holds"),
    [
        ({}, {"a": ""}, True),
        ({}, {"a": {}}, True),
        ({}, {"a": []}, True),
        ({}, {"a": 0}, True),
        ({}, {"a": 1}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.5"}}, True),
        ({"a": 5}, {"a": {"b": 1}}, False),
    ],
)
def test_contains(observed, wanted, holds):
    assert metadata.contains(observed, wanted) is holds


def test_equal_objects_have_equal_digests_whatever_their_order():
    one = metadata.stamped({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}})
    two = metadata.stamped({"metadata": {"name": "a"}, "spec": {"y": 2, "x": 1}})
    assert one == two
