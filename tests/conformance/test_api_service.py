"""Services: made, listed, changed, named, split and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.world import Prober, World, image, service
from tidegate.kube import resources
from tidegate.kube.api import ApiError

V1, V2 = "What a spaceport!", "Re-energize yourself with a slice of pepperoni!"


@pytest.mark.upstream("api", "TestServiceCreateListAndDelete")
async def test_a_service_is_created_listed_and_deleted(world: World) -> None:
    made = await world.deploy(service("noodles"))
    listed = await world.all(resources.KNATIVE_SERVICES)
    assert [one["metadata"]["name"] for one in listed] == ["noodles"]
    assert listed[0]["spec"]["template"]["spec"]["containers"][0]["image"] == image("helloworld")
    assert await world.text(world.host("noodles")) == "Hello World! How about some tasty noodles?\n"
    await world.delete("Service", made["metadata"]["name"])
    await world.gone("Service", "noodles")
    for kind in ("Configuration", "Route"):
        await world.gone(kind, "noodles")


@pytest.mark.upstream("api", "TestServiceCreateAndUpdate")
async def test_every_change_of_the_template_is_a_revision_and_no_request_fails(world: World) -> None:
    await world.deploy(service("pizza", "pizzaplanetv1"))
    host, seen = world.host("pizza"), set()

    async def latest() -> str:
        found = await world.ready("Service", "pizza")
        seen.add(found["status"]["latestReadyRevisionName"])
        return str(found["status"]["latestReadyRevisionName"])

    await latest()
    async with Prober(world, host):
        await world.update_template("pizza", {"image": image("pizzaplanetv2")})
        await latest()
        await world.serves(host, V2)
        await world.update_template("pizza", {"labels": {"label-x": "abc"}})
        labelled = await latest()
        await world.update_template("pizza", {"annotations": {"annotation-a": "123"}})
        annotated = await latest()
    assert len(seen) == 4
    assert (await world.get("Revision", labelled))["metadata"]["labels"]["label-x"] == "abc"
    assert (await world.get("Revision", annotated))["metadata"]["annotations"]["annotation-a"] == "123"
    generations = [
        revision["metadata"]["labels"]["serving.knative.dev/configurationGeneration"]
        for revision in await world.all(resources.REVISIONS)
    ]
    assert sorted(generations) == ["1", "2", "3", "4"]


@pytest.mark.upstream("api", "TestServiceBYOName")
async def test_a_revision_has_the_name_its_author_gave_and_a_change_needs_a_new_one(world: World) -> None:
    await world.deploy(service("mine", "pizzaplanetv1", revision="mine-first"))
    assert (await world.get("Service", "mine"))["status"]["latestReadyRevisionName"] == "mine-first"
    with pytest.raises(ApiError) as refused:
        await world.update_template("mine", {"image": image("pizzaplanetv2")})
    assert refused.value.status == 400
    assert "without a name change" in refused.value.message
    assert "spec.template.metadata.name" in refused.value.message
    await world.serves(world.host("mine"), V1)

    found = await world.get("Service", "mine")
    found["spec"]["template"]["metadata"]["name"] = "mine-second"
    found["spec"]["template"]["spec"]["containers"][0]["image"] = image("pizzaplanetv2")
    await world.instance.client.replace(resources.KNATIVE_SERVICES, found)
    assert (await world.ready("Service", "mine"))["status"]["latestReadyRevisionName"] == "mine-second"
    await world.serves(world.host("mine"), V2)


def _own(metadata: dict[str, Any], part: str) -> dict[str, str]:
    return {key: value for key, value in metadata.get(part, {}).items() if key.startswith("test.example/")}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("annotations", marks=pytest.mark.upstream("api", "TestAnnotationPropagation")),
        pytest.param("labels", marks=pytest.mark.upstream("api", "TestLabelPropagation")),
    ],
)
async def test_metadata_of_a_service_is_that_of_its_route_and_configuration(world: World, part: str) -> None:
    async def shown(wanted: dict[str, str]) -> None:
        async def check() -> bool:
            children = [await world.get(kind, "tagged") for kind in ("Configuration", "Route")]
            return all(_own(child["metadata"], part) == wanted for child in children)

        await world.until(f"{part} {wanted} on the children", check)
        for revision in await world.all(resources.REVISIONS):
            assert _own(revision["metadata"], part) == {}

    await world.deploy(service("tagged", metadata={part: {"test.example/one": "a", "test.example/two": "b"}}))
    await shown({"test.example/one": "a", "test.example/two": "b"})
    for change, wanted in (
        ({"test.example/three": "c"}, {"test.example/one": "a", "test.example/two": "b", "test.example/three": "c"}),
        ({"test.example/one": "z"}, {"test.example/one": "z", "test.example/two": "b", "test.example/three": "c"}),
        ({"test.example/one": None, "test.example/two": None}, {"test.example/three": "c"}),
    ):
        await world.patch("Service", "tagged", {"metadata": {part: change}})
        await shown(wanted)
    assert len(await world.all(resources.REVISIONS)) == 1
