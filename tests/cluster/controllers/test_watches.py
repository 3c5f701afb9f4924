"""What the controllers' caches keep: no field ownership, and of kinds unknown here only what collection looks at."""

from __future__ import annotations

import pytest

from cluster.controllers.owners import owner_uids
from cluster.controllers.watches import lineage, without_managers
from tidegate.kube.api import Object

METADATA = {"name": "a", "namespace": "d", "uid": "u", "resourceVersion": "7", "finalizers": ["orphan"]}


def custom(**spec: object) -> Object:
    owned = METADATA | {"ownerReferences": [{"uid": "o"}]}
    told = {"managedFields": [{"manager": "m"}], "annotations": {"big": "x"}}
    return {"apiVersion": "e/v1", "kind": "E", "metadata": owned | told, "spec": spec, "status": {"x": 1}}


def test_managers_are_not_kept_and_the_object_given_is_not_changed() -> None:
    given = custom(a=1)
    kept = without_managers(given)
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"big": "x"}
    assert kept["spec"] is given["spec"]
    assert given == custom(a=1)


@pytest.mark.parametrize(
    ("spec", "kept_spec"), [({"a": 1}, None), ({"a": 1, "replicas": 3}, {"replicas": 3}), ({}, None)]
)
def test_of_an_unknown_kind_its_lineage_and_size_are_kept(spec: Object, kept_spec: Object | None) -> None:
    kept = lineage(custom(**spec))
    assert kept.pop("spec", None) == kept_spec
    assert owner_uids(kept) == ["o"]
    assert kept == {"apiVersion": "e/v1", "kind": "E", "metadata": METADATA | {"ownerReferences": [{"uid": "o"}]}}
