"""CustomResourceDefinitions: from the write that stores them to the last object of their kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.api.crds import kinds_of
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, PatchKind, Resource
from tidegate.kube.client import Client

BOATS = Resource("sea.dev", "v1", "boats", "Boat")
OLD_BOATS = Resource("sea.dev", "v1alpha1", "boats", "Boat")
CRDS = resources.CUSTOM_RESOURCE_DEFINITIONS


def version(name: str, storage: bool, **more: Any) -> Object:
    spec = {"type": "object", "properties": {"sails": {"type": "integer"}, "colour": {"type": "string"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}}
    return {"name": name, "served": True, "storage": storage, "schema": schema} | more


def definition(*versions: Object) -> Object:
    names = {"plural": "boats", "kind": "Boat"}
    spec = {"group": "sea.dev", "scope": "Namespaced", "names": names, "versions": list(versions)}
    return {"metadata": {"name": "boats.sea.dev"}, "spec": spec}


def boat(name: str = "argo", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def test_a_definition_is_established_and_usable_at_once(client: Client) -> None:
    made = await client.create(CRDS, definition(version("v1", True, subresources={"status": {}})))
    conditions = {one["type"]: one["status"] for one in made["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["status"]["acceptedNames"]["singular"] == "boat"
    created = await client.create(BOATS, boat(sails=1) | {"status": {"x": 1}})
    assert "status" not in created
    assert created["metadata"]["generation"] == 1
    assert (await client.get(BOATS, "argo", "default"))["kind"] == "Boat"


async def test_versions_share_objects_and_differ_in_name_only(client: Client) -> None:
    await client.create(CRDS, definition(version("v1alpha1", False), version("v1", True)))
    made = await client.create(OLD_BOATS, boat(sails=1))
    assert made["apiVersion"] == "sea.dev/v1alpha1"
    same = await client.get(BOATS, "argo", "default")
    assert same["apiVersion"] == "sea.dev/v1"
    assert same["metadata"]["uid"] == made["metadata"]["uid"]
    assert [one["apiVersion"] for one in (await client.list(OLD_BOATS)).items] == ["sea.dev/v1alpha1"]


async def test_updates_need_a_resource_version_and_status_is_apart(client: Client) -> None:
    await client.create(CRDS, definition(version("v1", True, subresources={"status": {}})))
    made = await client.create(BOATS, boat(sails=1))
    with pytest.raises(ApiError, match="must be specified for an update"):
        await client.replace(BOATS, boat(sails=2))
    changed = await client.replace(BOATS, made | {"spec": {"sails": 2}, "status": {"x": 1}})
    assert changed["metadata"]["generation"] == 2
    assert "status" not in changed
    patch = {"status": {"x": 1}, "spec": {"sails": 9}, "metadata": {"labels": {"a": "b"}}}
    reported = await client.patch(BOATS, "argo", patch, "default", subresource="status")
    assert reported["spec"] == {"sails": 2}
    assert "labels" not in reported["metadata"]
    assert reported["metadata"]["generation"] == 2


async def test_pruning_and_validation(client: Client) -> None:
    await client.create(CRDS, definition(version("v1", True)))
    made = await client.create(BOATS, boat(sails=1, oars=2))
    assert made["spec"] == {"sails": 1}
    with pytest.raises(ApiError) as caught:
        await client.create(BOATS, boat("b", sails="many"))
    assert caught.value.status == 422
    assert caught.value.details["causes"][0]["field"] == "spec.sails"
    with pytest.raises(ApiError) as caught:
        await client.patch(BOATS, "argo", {}, "default", kind=PatchKind.STRATEGIC)
    assert caught.value.status == 415


async def test_apply_on_a_custom_resource(client: Client) -> None:
    await client.create(CRDS, definition(version("v1", True, subresources={"status": {}})))
    body = {"apiVersion": "sea.dev/v1", "kind": "Boat", "metadata": {"name": "argo"}, "spec": {"sails": 1}}

    async def apply(manager: str, subresource: str = "", **changes: Any) -> Object:
        return await client.patch(
            BOATS, "argo", body | changes, "default", kind=PatchKind.APPLY, manager=manager, subresource=subresource
        )

    with pytest.raises(ApiError) as caught:
        await apply("reporter", "status", status={"x": 1})
    assert caught.value.is_not_found
    first = await apply("owner")
    again = await apply("owner")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    reported = await apply("reporter", "status", status={"x": 1}, spec={"sails": 5})
    assert reported["spec"] == {"sails": 1}
    assert (await apply("owner", spec={"sails": 2}))["metadata"]["generation"] == 2


async def test_a_deleted_definition_takes_its_objects_along(client: Client) -> None:
    await client.create(CRDS, definition(version("v1", True)))
    held = boat("held")
    held["metadata"]["finalizers"] = ["sea.dev/hold"]
    await client.create(BOATS, boat("free"))
    await client.create(BOATS, held)
    await client.delete(CRDS, "boats.sea.dev")
    async with asyncio.timeout(30):
        while len((await client.list(BOATS)).items) > 1:
            await asyncio.sleep(0.01)
    assert (await client.get(CRDS, "boats.sea.dev"))["metadata"]["deletionTimestamp"]
    await client.patch(BOATS, "held", {"metadata": {"finalizers": None}}, "default")
    async with asyncio.timeout(30):
        while (await client.list(CRDS)).items:
            await asyncio.sleep(0.01)
    with pytest.raises(ApiError) as caught:
        await client.list(BOATS)
    assert caught.value.is_not_found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["v1alpha1", "v2beta1", "v1", "v2"], ["v2", "v1", "v2beta1", "v1alpha1"]),
        (["v1alpha2", "v1alpha10"], ["v1alpha10", "v1alpha2"]),
        (["foo", "v1beta1"], ["v1beta1", "foo"]),
    ],
)
def test_versions_are_preferred_by_maturity(names: list[str], expected: list[str]) -> None:
    kinds = kinds_of(definition(*(version(name, name == "v1") for name in names)))
    assert [kind.version for kind in kinds] == expected


async def test_a_deprecated_version_warns(running, client: Client) -> None:
    await client.create(CRDS, definition(version("v1", True, deprecated=True)))
    async with client._open().get(running.url + BOATS.path("default"), headers=client._headers()) as answer:
        assert "sea.dev/v1 Boat is deprecated" in answer.headers["Warning"]
