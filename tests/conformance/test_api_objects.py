"""Configurations, Routes and Revisions as objects of their own: read, listed, made by hand, named by the server."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, image, service
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource

V1, V2 = "What a spaceport!", "Re-energize yourself with a slice of pepperoni!"
GROUP = "serving.knative.dev"


def _configuration(name: str, app: str = "helloworld") -> Object:
    template = {"spec": {"containers": [{"image": image(app)}]}}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Configuration",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


def _route(name: str, configuration: str) -> Object:
    traffic = [{"configurationName": configuration, "percent": 100}]
    return {"apiVersion": f"{GROUP}/v1", "kind": "Route", "metadata": {"name": name}, "spec": {"traffic": traffic}}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        pytest.param(
            resources.CONFIGURATIONS, "seen", marks=pytest.mark.upstream("api", "TestConfigurationGetAndList")
        ),
        pytest.param(resources.ROUTES, "seen", marks=pytest.mark.upstream("api", "TestRouteGetAndList")),
        pytest.param(resources.REVISIONS, "seen-00001", marks=pytest.mark.upstream("api", "TestRevisionGetAndList")),
    ],
    ids=["Configuration", "Route", "Revision"],
)
async def test_what_a_service_is_made_of_can_be_read_and_listed(world: World, resource: Resource, name: str) -> None:
    await world.deploy(service("seen"))
    client = world.instance.client
    found = await client.get(resource, name, world.namespace)
    assert found["kind"] == resource.kind
    assert found["apiVersion"] == f"{GROUP}/v1"
    listed = await world.all(resource)
    assert [one["metadata"]["uid"] for one in listed] == [found["metadata"]["uid"]]
    assert [one["metadata"]["name"] for one in await world.all(resource, f"{GROUP}/service=seen")] == [name]
    assert await world.all(resource, f"{GROUP}/service=other") == []


@pytest.mark.upstream("api", "TestUpdateConfigurationMetadata")
async def test_metadata_of_a_configuration_makes_no_revision_and_is_not_copied_to_one(world: World) -> None:
    await world.create(_configuration("plain"))
    await world.ready("Configuration", "plain")
    before = await world.get("Revision", "plain-00001")
    generation = (await world.get("Configuration", "plain"))["metadata"]["generation"]
    change = {"labels": {"test.example/label": "a"}, "annotations": {"test.example/annotation": "b"}}
    changed = await world.patch("Configuration", "plain", {"metadata": change})
    assert changed["metadata"]["labels"]["test.example/label"] == "a"
    assert changed["metadata"]["generation"] == generation

    # A change of the template is the sign that the other change was seen.
    container = {"image": image("helloworld"), "env": [{"name": "TARGET", "value": "new"}]}
    await world.patch("Configuration", "plain", {"spec": {"template": {"spec": {"containers": [container]}}}})
    found = await world.ready("Configuration", "plain")
    assert found["status"]["latestReadyRevisionName"] == "plain-00002"
    assert len(await world.all(resources.REVISIONS)) == 2
    for name in (before["metadata"]["name"], "plain-00002"):
        metadata = (await world.get("Revision", name))["metadata"]
        assert "test.example/label" not in metadata["labels"]
        assert "test.example/annotation" not in metadata["annotations"]


@pytest.mark.upstream("api", "TestRouteCreation")
async def test_a_route_follows_a_configuration_and_says_so_in_labels_and_annotations(world: World) -> None:
    await world.create(_configuration("kitchen", "pizzaplanetv1"))
    await world.create(_route("door", "kitchen"))
    await world.ready("Route", "door")
    await world.serves(world.host("door"), V1)
    await _is_linked(world, "kitchen-00001", generation="1")

    spec = {"containers": [{"image": image("pizzaplanetv2")}]}
    await world.patch("Configuration", "kitchen", {"spec": {"template": {"spec": spec}}})
    found = await world.ready("Configuration", "kitchen")
    assert found["status"]["latestReadyRevisionName"] == "kitchen-00002"
    await world.serves(world.host("door"), V2)
    route = await world.ready("Route", "door")
    assert [(one["revisionName"], one["percent"]) for one in route["status"]["traffic"]] == [("kitchen-00002", 100)]
    await _is_linked(world, "kitchen-00002", generation="2")


async def _is_linked(world: World, name: str, generation: str) -> None:
    """Wait until revision and configuration carry what ties them to each other and to the route."""

    async def check() -> bool:
        revision, owner = await world.get("Revision", name), await world.get("Configuration", "kitchen")
        labels, annotations = revision["metadata"]["labels"], revision["metadata"]["annotations"]
        assert labels[f"{GROUP}/configuration"] == "kitchen"
        assert labels[f"{GROUP}/configurationUID"] == owner["metadata"]["uid"]
        assert labels[f"{GROUP}/configurationGeneration"] == generation
        assert f"{GROUP}/service" not in labels
        return bool(
            annotations.get(f"{GROUP}/routes") == "door"
            and labels.get(f"{GROUP}/routingState") == "active"
            and f"{GROUP}/routingStateModified" in annotations
            and (owner["metadata"].get("annotations") or {}).get(f"{GROUP}/routes") == "door"
        )

    await world.until(f"{name} is tied to the route", check)


@pytest.mark.upstream("api", "TestServiceGenerateName")
async def test_a_service_named_by_the_server_works_end_to_end(world: World) -> None:
    obj = service("x") | {"metadata": {"generateName": "some-"}}
    name = (await world.create(obj))["metadata"]["name"]
    assert name.startswith("some-")
    assert len(name) > len("some-")
    found = await world.ready("Service", name)
    assert found["status"]["latestReadyRevisionName"].startswith(f"{name}-")
    await world.serves(world.host(name), "noodles")


@pytest.mark.upstream("api", "TestRouteAndConfigGenerateName")
async def test_a_configuration_and_a_route_named_by_the_server_work_end_to_end(world: World) -> None:
    made = await world.create(_configuration("x") | {"metadata": {"generateName": "conf-"}})
    name = made["metadata"]["name"]
    assert name.startswith("conf-")
    await world.ready("Configuration", name)
    route = (await world.create(_route("x", name) | {"metadata": {"generateName": "way-"}}))["metadata"]["name"]
    assert route.startswith("way-")
    await world.ready("Route", route)
    await world.serves(world.host(route), "noodles")
