"""Discovery in both forms, from one registry; scales; and what a decoded object looks like."""

from __future__ import annotations

import pytest

from cluster.api import decoding, discovery, rules, scale
from cluster.api.builtin_kinds import builtin_kinds
from cluster.api.kinds import Kind, Registry
from cluster.api.users import ADMIN, Call
from tidegate.kube.api import ApiError, Object

BOAT = Kind(
    "sea.dev",
    "v1",
    "boats",
    "Boat",
    singular="boat",
    short_names=("bt",),
    categories=("fleet",),
    subresources=frozenset({"status", "scale"}),
    is_custom=True,
    scale={
        "specReplicasPath": ".spec.sails",
        "statusReplicasPath": ".status.sails",
        "labelSelectorPath": ".status.selector",
    },
)


@pytest.fixture
def registry() -> Registry:
    made = Registry(builtin_kinds())
    made.replace_custom("boats.sea.dev", [BOAT])
    return made


def test_both_forms_say_the_same(registry: Registry) -> None:
    aggregated = discovery.aggregated(registry, False, "v2")
    apps = {item["metadata"]["name"]: item for item in aggregated["items"]}
    for group in discovery.groups(registry)["groups"]:
        for version in group["versions"]:
            listed = discovery.resources(registry, group["name"], version["version"])
            assert listed is not None
            plain = {one["name"] for one in listed["resources"]}
            found = next(one for one in apps[group["name"]]["versions"] if one["version"] == version["version"])
            merged = {one["resource"] for one in found["resources"]}
            merged |= {
                f"{one['resource']}/{sub['subresource']}"
                for one in found["resources"]
                for sub in one.get("subresources", [])
            }
            assert merged == plain


def test_custom_kinds_come_and_go(registry: Registry) -> None:
    listed = discovery.resources(registry, "sea.dev", "v1")
    assert listed is not None
    boats = listed["resources"][0]
    assert (boats["shortNames"], boats["categories"], boats["singularName"]) == (["bt"], ["fleet"], "boat")
    assert discovery.group(registry, "sea.dev") is not None
    registry.replace_custom("boats.sea.dev", [])
    assert discovery.resources(registry, "sea.dev", "v1") is None
    assert discovery.group(registry, "sea.dev") is None


def test_custom_scale_follows_its_paths() -> None:
    boat: Object = {
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "creationTimestamp": "t"},
        "spec": {"sails": 2},
        "status": {"sails": 1, "selector": "x=y"},
    }
    made = scale.scale_of(BOAT, boat)
    assert (made["spec"], made["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "x=y"})
    changed = scale.replacement(BOAT, {"spec": {"replicas": 5}})(boat)
    assert (changed["spec"], boat["spec"]) == ({"sails": 5}, {"sails": 2})


@pytest.mark.parametrize("replicas", [-1, "3", None])
def test_scales_that_make_no_sense(replicas: object) -> None:
    with pytest.raises(ApiError, match=r"spec\.replicas"):
        scale.replacement(BOAT, {"spec": {"replicas": replicas}})({"metadata": {"name": "a"}, "spec": {}})


def pods() -> Kind:
    found = Registry(builtin_kinds()).find("", "v1", "pods")
    assert found is not None
    return found


def test_nulls_and_unknown_fields_go_from_what_changed_only() -> None:
    live: Object = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "odd": 1}]}}
    new = rules.copied(live) | {"status": {"phase": None, "reason": "x", "mood": "y"}, "nothing": None}
    call = Call(ADMIN, field_validation="Warn")
    decoded = decoding.decode(pods(), new, call, live)
    assert decoded["status"] == {"reason": "x"}
    assert "nothing" not in decoded
    assert decoded["spec"] == live["spec"]
    assert call.warnings == ['unknown field "status.mood"']
    decoding.decode(pods(), decoded, call)
    assert decoded["spec"]["containers"] == [{"name": "c"}]
