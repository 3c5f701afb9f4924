"""Services: made, listed, changed, named, split and deleted."""

from __future__ import annotations

import pytest

from tests.conformance.world import Prober, World, image, service
from tidegate.kube import resources

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
