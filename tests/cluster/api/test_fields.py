"""Server-side apply and field ownership: stories of managers, and the laws that hold in all of them."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.builtin_defaults import default_builtin
from cluster.api.fields import (
    ANCIENT,
    BEFORE_FIRST_APPLY,
    MAX_UPDATERS,
    ApplyConflicts,
    apply,
    entries_of,
    managers,
    track_update,
)

T1, T2, T3 = (f"2026-01-01T00:00:0{n}Z" for n in (1, 2, 3))


def deployment(*containers, **spec):
    body = {"template": {"spec": {"containers": list(containers)}}} if containers else {}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": body | spec}


def ssa(live, applied, manager="a", force=False, now=T1, **more):
    return apply(live, applied, manager, force, "apps/v1", now, **more)


def update(old, new, manager="u", now=T2, **more):
    return track_update(old, new, manager, "apps/v1", now, **more)


def edited(obj, **spec):
    return obj | {"spec": obj["spec"] | spec}


def test_a_new_object_is_owned_by_who_applied_it():
    created = ssa(None, deployment({"name": "c", "image": "i"}, replicas=1))
    assert created["spec"]["replicas"] == 1
    (entry,) = created["metadata"]["managedFields"]
    container = {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}
    assert entry == {
        "manager": "a",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": T1,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": container}}}},
    }


def test_applying_the_same_again_changes_nothing_not_even_the_time():
    created = ssa(None, deployment(replicas=1))
    assert ssa(created, deployment(replicas=1), now=T2) == created
    assert ssa(created, deployment(replicas=2), now=T2)["metadata"]["managedFields"][0]["time"] == T2


def test_two_managers_share_an_object():
    live = ssa(None, deployment(replicas=1))
    live = ssa(live, deployment(paused=True), "b")
    assert live["spec"] == {"replicas": 1, "paused": True}
    assert managers(live) == {"a": [".spec.replicas"], "b": [".spec.paused"]}


def test_a_conflict():
    live = ssa(None, deployment(replicas=1))
    with pytest.raises(ApplyConflicts) as caught:
        ssa(live, deployment(replicas=2), "b")
    assert caught.value.conflicts == [("a", ".spec.replicas")]
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "a": .spec.replicas'
    assert caught.value.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".spec.replicas"}
    ]


def test_several_conflicts_with_an_updater():
    live = update(None, deployment(replicas=1, paused=False), "kubectl-create")
    with pytest.raises(ApplyConflicts) as caught:
        ssa(live, deployment(replicas=2, paused=True), "b")
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-create" using apps/v1 at 2026-01-01T00:00:02Z:\n'
        "- .spec.paused\n- .spec.replicas"
    )


def test_the_same_value_is_no_conflict_but_shared_ownership():
    live = ssa(ssa(None, deployment(replicas=1)), deployment(replicas=1), "b")
    assert managers(live) == {"a": [".spec.replicas"], "b": [".spec.replicas"]}
    assert ssa(live, deployment())["spec"] == {"replicas": 1}


def test_force_takes_ownership():
    live = ssa(ssa(None, deployment(replicas=1, paused=True)), deployment(replicas=2), "b", force=True)
    assert live["spec"]["replicas"] == 2
    assert managers(live) == {"a": [".spec.paused"], "b": [".spec.replicas"]}


def test_what_is_no_longer_applied_goes_away():
    live = ssa(None, deployment(replicas=1, paused=True))
    assert ssa(live, deployment(replicas=1))["spec"] == {"replicas": 1}


def test_what_nobody_owns_stays():
    live = ssa(None, deployment(replicas=1))
    live["spec"]["revisionHistoryLimit"] = 10  # a default
    assert ssa(live, deployment(replicas=1, paused=True))["spec"]["revisionHistoryLimit"] == 10


def test_defaults_inside_an_abandoned_field_go_with_it():
    volume = {"name": "v", "configMap": {"name": "c"}}
    live = ssa(None, deployment(template={"spec": {"volumes": [volume]}}))
    live["spec"]["template"]["spec"]["volumes"][0]["configMap"]["defaultMode"] = 420
    secret = {"name": "v", "secret": {"secretName": "s"}}
    result = ssa(live, deployment(template={"spec": {"volumes": [secret]}}))
    assert result["spec"]["template"]["spec"]["volumes"] == [secret]


def test_list_items_are_owned_one_by_one():
    live = ssa(None, deployment({"name": "a", "image": "1"}))
    live = ssa(live, deployment({"name": "b", "image": "2"}), "b")
    assert [c["name"] for c in live["spec"]["template"]["spec"]["containers"]] == ["a", "b"]
    live = ssa(live, deployment(replicas=1), "b")
    assert [c["name"] for c in live["spec"]["template"]["spec"]["containers"]] == ["a"]


def test_an_item_stays_while_somebody_owns_a_part_of_it():
    live = ssa(None, deployment({"name": "a", "image": "1", "command": ["x"]}))
    live = ssa(live, deployment({"name": "a", "tty": True}), "b")
    live = ssa(live, deployment(replicas=1))
    assert live["spec"]["template"]["spec"]["containers"] == [{"name": "a", "tty": True}]


def test_null_removes_and_is_not_owned():
    live = ssa(None, deployment(replicas=2, paused=True))
    live = ssa(live, deployment(replicas=2, paused=None))
    assert live["spec"] == {"replicas": 2}
    assert managers(live) == {"a": [".spec.replicas"]}
    with pytest.raises(ApplyConflicts):
        ssa(live, deployment(replicas=None), "b")


def test_metadata_of_the_server_is_left_alone():
    live = ssa(None, deployment(replicas=1))
    live["metadata"] |= {"uid": "u", "resourceVersion": "5", "creationTimestamp": T1, "generation": 1}
    applied = deployment(replicas=1)
    applied["metadata"] |= {"creationTimestamp": None, "resourceVersion": "1", "uid": "other", "managedFields": []}
    result = ssa(live, applied, now=T2)
    assert result == live
    assert (
        "managedFields"
        not in ssa(None, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})["metadata"]
    )


def test_a_default_inside_a_value_owned_whole_is_no_conflict():
    reference = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {"name": "c", "env": [reference], "resources": {"limits": {"cpu": 1}}}
    live = update(None, deployment(container), "client-side")
    stored = copy.deepcopy(live)
    default_builtin("Deployment", "apps", stored)
    assert stored["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}
    applied = ssa(stored, deployment(container), "b")
    default_builtin("Deployment", "apps", applied)
    assert applied["spec"] == stored["spec"]
    again = ssa(applied, deployment(container), "b", now=T3)
    assert [entry.time for entry in entries_of(again)] == [entry.time for entry in entries_of(applied)]


def test_labels_and_finalizers():
    applied = deployment() | {"metadata": {"name": "d", "labels": {"a": "1"}, "finalizers": ["x"]}}
    live = ssa(None, applied)
    live = update(
        live, live | {"metadata": live["metadata"] | {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}}
    )
    live = ssa(live, deployment())
    assert live["metadata"]["labels"] == {"b": "2"}
    assert live["metadata"]["finalizers"] == ["y"]


def test_an_update_takes_what_it_changes():
    live = ssa(None, deployment(replicas=1, paused=True))
    live = update(live, edited(live, replicas=2))
    assert managers(live) == {"a": [".spec.paused"], "u": [".spec.replicas"]}
    with pytest.raises(ApplyConflicts, match=r'conflict with "u" using apps/v1 at .*: .spec.replicas'):
        ssa(live, deployment(replicas=1, paused=True))


def test_giving_a_field_up_to_another_manager():
    """How replicas are handed to an autoscaler: it changes them, then the first manager stops applying them."""
    live = ssa(None, deployment(replicas=1, paused=True), "controller")
    live = update(live, edited(live, replicas=3), "autoscaler", subresource="scale")
    live = ssa(live, deployment(paused=True), "controller", now=T3)
    assert live["spec"] == {"replicas": 3, "paused": True}


def test_updates_of_a_subresource_have_an_entry_of_their_own():
    live = update(None, deployment(replicas=1), "m", T1)
    live = update(live, live | {"status": {"replicas": 1}}, "m", T2, subresource="status")
    assert [(e.manager, e.subresource, e.time) for e in entries_of(live)] == [("m", "", T1), ("m", "status", T2)]
    assert live["metadata"]["managedFields"][1]["subresource"] == "status"


def test_an_update_that_changes_nothing_leaves_ownership_alone():
    live = update(None, deployment(replicas=1), "m", T1)
    assert update(live, copy.deepcopy(live), "other", T2) == live
    bare = deployment(replicas=1)
    assert update(live, bare, "other", T2) == live


def test_a_removed_field_is_owned_by_nobody():
    live = update(None, deployment(replicas=1, paused=True), "m", T1)
    live = update(live, deployment(replicas=1), "other", T2)
    assert managers(live) == {"m": [".spec.replicas"]}
    mine = update(live, deployment(paused=True), "m", T3)
    assert managers(mine) == {"m": [".spec.paused"]}
    assert mine["metadata"]["managedFields"][0]["time"] == T3


def test_a_client_may_edit_and_reset_managed_fields():
    live = ssa(None, deployment(replicas=1))
    reset = live | {"metadata": live["metadata"] | {"managedFields": [{}]}}
    assert managers(update(live, reset)) == {}
    renamed = copy.deepcopy(live)
    renamed["metadata"]["managedFields"][0]["manager"] = "z"
    assert managers(update(live, renamed)) == {"z": [".spec.replicas"]}


def test_an_object_from_before_ownership_was_tracked():
    live = deployment(replicas=1, paused=True)
    with pytest.raises(ApplyConflicts, match=BEFORE_FIRST_APPLY):
        ssa(live, deployment(replicas=2))
    result = ssa(live, deployment(replicas=1))
    assert managers(result) == {"a": [".spec.replicas"], BEFORE_FIRST_APPLY: [".spec.paused", ".spec.replicas"]}


def test_the_number_of_updaters_is_bounded():
    live = update(None, deployment(replicas=0), "m0", T1)
    for number in range(1, 2 * MAX_UPDATERS):
        live = update(live, edited(live, **{f"x{number}": 1}), f"m{number}", f"2026-01-01T00:00:{number:02}Z")
    assert len(entries_of(live)) == MAX_UPDATERS
    assert managers(live)[ANCIENT][0] == ".spec.replicas"
    assert sum(len(paths) for paths in managers(live).values()) == 2 * MAX_UPDATERS


SCHEMA = {
    "properties": {
        "spec": {
            "properties": {
                "traffic": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["tag"], "items": {}},
                "list": {"items": {}},
            }
        }
    }
}


def custom(**spec):
    return {"apiVersion": "e/v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}


def test_a_custom_kind_merges_by_its_schema():
    live = ssa(None, custom(traffic=[{"tag": "a", "percent": 1}], list=[1]), schema=SCHEMA)
    live = ssa(live, custom(traffic=[{"tag": "b", "percent": 2}]), "b", schema=SCHEMA)
    assert [item["tag"] for item in live["spec"]["traffic"]] == ["a", "b"]
    with pytest.raises(ApplyConflicts) as caught:
        ssa(live, custom(list=[2]), "b", schema=SCHEMA)
    assert caught.value.conflicts == [("a", ".spec.list")]
    with pytest.raises(ApplyConflicts) as caught:
        ssa(live, custom(traffic=[{"tag": "a", "percent": 9}]), "b", schema=SCHEMA)
    assert caught.value.conflicts == [("a", '.spec.traffic[tag="a"].percent')]


# Laws

images = st.sampled_from(["1", "2"])
some_containers = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")}, optional={"image": images, "args": st.lists(images, max_size=2)}
    ),
    unique_by=lambda container: container["name"],
    max_size=3,
)
configs = st.builds(
    lambda containers, spec, labels: (
        deployment(*containers, minReadySeconds=0, **spec)
        | {"metadata": {"name": "d"} | ({"labels": labels} if labels else {})}
    ),
    some_containers,
    st.fixed_dictionaries(
        {},
        optional={
            "replicas": st.integers(0, 2),
            "paused": st.booleans(),
            "strategy": st.fixed_dictionaries({"type": images}),
        },
    ),
    st.dictionaries(st.sampled_from("xy"), images, max_size=2),
)
steps = st.lists(st.tuples(st.sampled_from(["a", "b", "update"]), configs), min_size=1, max_size=5)


def leaf_paths(applied):
    return set(managers(ssa(None, applied)).get("a", []))


@settings(max_examples=40)
@given(steps)
def test_laws(sequence):
    live = None
    for number, (who, config) in enumerate(sequence):
        now = f"2026-01-01T00:00:{number:02}Z"
        before = copy.deepcopy((live, config))
        if who == "update":
            live = update(live, config, now=now)
            # Every value of the object has an owner right after it was written whole.
            assert set().union(*managers(live).values(), set()) == leaf_paths(config)
            continue
        others = {name: set(paths) for name, paths in managers(live or {}).items() if name != who}
        result = ssa(live, config, who, force=True, now=now)
        assert (live, config) == before
        # Applying again changes nothing.
        assert ssa(result, config, who, force=False, now=T3) == result
        owned = {name: set(paths) for name, paths in managers(result).items()}
        assert owned.get(who, set()) == leaf_paths(config)
        # Others lose only what the apply states, and what they keep is still in the object.
        present = leaf_paths({key: value for key, value in result.items() if key != "status"})
        for name, paths in others.items():
            assert paths - owned.get(name, set()) <= leaf_paths(config)
            assert all(any(place.startswith(path) for place in present) for path in owned.get(name, set()))
        live = result


@settings(max_examples=40)
@given(configs, configs)
def test_taking_everything_back_leaves_what_the_other_applied(first, second):
    live = ssa(ssa(None, first), second, "b", force=True)
    live = ssa(live, deployment(), "a")
    assert leaf_paths(live) == leaf_paths(second)
