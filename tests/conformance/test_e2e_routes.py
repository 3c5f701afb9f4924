"""Routes: going back to an earlier revision, gradual rollout, bad targets."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.world import Prober, World, condition, image, is_current, service
from tests.support.versions import later_versions
from tidegate.contracts import names
from tidegate.kube import resources

V1, V2 = "What a spaceport!", "Re-energize yourself with a slice of pepperoni!"
ROLLOUT_S = 12


@pytest.mark.upstream("e2e", "TestRollbackBYOName")
async def test_going_back_to_an_earlier_name_uses_that_revision_again(world: World) -> None:
    first = await world.deploy(service("pizza", "pizzaplanetv1", revision="pizza-one"))
    old = await world.get("Revision", "pizza-one")
    await world.update_template("pizza", {"name": "pizza-two", "image": image("pizzaplanetv2")})
    await world.ready("Service", "pizza")
    await world.serves(world.host("pizza"), V2)
    await world.patch("Service", "pizza", {"spec": {"template": first["spec"]["template"]}})
    back = await world.ready("Service", "pizza")
    await world.serves(world.host("pizza"), V1)
    assert [row["revisionName"] for row in back["status"]["traffic"]] == ["pizza-one"]
    again = await world.get("Revision", "pizza-one")
    assert again["metadata"]["uid"] == old["metadata"]["uid"]
    assert len(await world.all(resources.REVISIONS)) == 2


@pytest.mark.upstream("e2e", "TestGradualRollout")
async def test_a_new_revision_takes_over_in_steps_and_on_time(world: World) -> None:
    metadata = {"annotations": {names.ROLLOUT_DURATION_ANNOTATION: f"{ROLLOUT_S}s"}}
    first = (await world.deploy(service("pizza", "pizzaplanetv1", metadata=metadata)))["status"]
    await world.serves(world.host("pizza"), V1)
    shares = [{first["latestReadyRevisionName"]: 100}]
    route = await world.get("Route", "pizza")

    async def until_over() -> None:
        async for version in later_versions(world.instance.client, resources.ROUTES, route):
            now = {row["revisionName"]: row["percent"] for row in version["status"]["traffic"]}
            if shares[-1] != now:
                shares.append(now)
            if len(now) > 1:
                ready = condition(version, "IngressReady")
                assert (ready["status"], ready["reason"]) == ("Unknown", "RolloutInProgress")
            if first["latestReadyRevisionName"] not in now:
                return

    async with Prober(world, world.host("pizza")), asyncio.timeout(ROLLOUT_S + 100):
        async with asyncio.TaskGroup() as group:
            group.create_task(until_over())
            await world.update_template("pizza", {"image": image("pizzaplanetv2")})
        await world.ready("Service", "pizza")
    (newest,) = shares[-1]
    percents = [now.get(newest, 0) for now in shares]
    assert percents == sorted(percents)
    assert percents[:2] == [0, 1]
    assert len(percents) >= 4, "a step is never shorter than the first percent took"
    assert all(sum(now.values()) == 100 for now in shares)
    assert set(await world.spread(world.host("pizza"), 20)) == {V2}


@pytest.mark.upstream("e2e", "TestRoutesNotReady")
async def test_a_target_that_is_not_there_is_told_at_the_newest_generation(world: World) -> None:
    traffic = [{"revisionName": "nobody", "percent": 100}]
    await world.create(service("hello", traffic=traffic))
    ready = await world.failed("Route", "hello")
    assert ready["reason"] == "RevisionMissing"
    assert '"nobody"' in ready["message"]

    async def told() -> bool:
        found = await world.get("Service", "hello")
        is_told = condition(found, "RoutesReady").get("status") == "False"
        return is_told and is_current(found) and condition(found).get("status") == "False"

    await world.until("the Service says that its routes are not ready", told)
    assert is_current(await world.get("Route", "hello"))
    await world.patch("Service", "hello", {"spec": {"traffic": [{"latestRevision": True, "percent": 100}]}})
    await world.ready("Service", "hello")
    await world.serves(world.host("hello"), "noodles")
