"""What upstream tests in packages of their own: tags by header, no pod at first, ten at once, evictions."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conformance.world import Prober, World, service
from tidegate.kube import resources
from tidegate.kube.api import Object

V1, V2 = "What a spaceport!", "Re-energize yourself with a slice of pepperoni!"
AT_ONCE = 10


async def with_tag(world: World, host: str, tag: str | None) -> str:
    """Return the body of the answer to a request that names a tag by header."""
    headers = {"Host": host} | ({"Knative-Serving-Tag": tag} if tag is not None else {})
    url = f"http://127.0.0.1:{world.instance.port}/"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
        assert reply.status == 200
        return (await reply.text()).strip()


@pytest.mark.upstream("packages", "TestTagHeaderBasedRouting")
async def test_a_header_chooses_a_tag_of_the_route(world: World) -> None:
    await world.deploy(service("pizza", "pizzaplanetv1", revision="pizza-one"))
    template = service("pizza", "pizzaplanetv2", revision="pizza-two")["spec"]["template"]
    traffic = [{"revisionName": "pizza-one", "percent": 100, "tag": "one"}, {"revisionName": "pizza-two", "tag": "two"}]
    await world.patch("Service", "pizza", {"spec": {"template": template, "traffic": traffic}})
    await world.ready("Service", "pizza")
    await world.serves(world.host("pizza", "two"), V2)
    host = world.host("pizza")
    for tag, text in (("one", V1), ("two", V2), ("nobody", V1), ("", V1), (None, V1)):
        assert await with_tag(world, host, tag) == text, tag
    assert await with_tag(world, world.host("pizza", "two"), "one") == V2


@pytest.mark.upstream("packages", "TestInitScaleZero")
async def test_a_revision_that_begins_at_zero_is_ready_and_has_never_had_a_pod(world: World) -> None:
    annotations = {"autoscaling.knative.dev/initial-scale": "0"}
    made = await world.deploy(service("hello", annotations=annotations))
    revision = made["status"]["latestReadyRevisionName"]
    await world.ready("Revision", revision)
    assert await world.pods(revision) == []
    assert (await world.get("Revision", revision))["status"].get("actualReplicas", 0) == 0
    await world.serves(world.host("hello"), "noodles")


@pytest.mark.upstream("packages", "TestScaleToN")
async def test_ten_services_made_at_once_are_ready_and_serve(world: World) -> None:
    async def one(number: int) -> None:
        env = [{"name": "TARGET", "value": f"number {number}"}]
        await world.deploy(service(f"hello-{number}", container={"env": env}))
        await world.serves(world.host(f"hello-{number}"), f"number {number}")

    await asyncio.gather(*map(one, range(AT_ONCE)))


@pytest.mark.upstream("packages", "TestWorkloadHA")
async def test_no_request_is_lost_when_pods_are_evicted(world: World) -> None:
    annotations = {"autoscaling.knative.dev/min-scale": "2"}
    revision = (await world.deploy(service("hello", annotations=annotations)))["status"]["latestReadyRevisionName"]
    await world.serves(world.host("hello"), "noodles")
    first = {pod["metadata"]["name"] for pod in await world.pods(revision)}
    assert len(first) == 2
    async with Prober(world, world.host("hello")):
        for name in sorted(first):
            await evict(world, name)

            async def is_replaced(gone: str = name) -> bool:
                left = {pod["metadata"]["name"] for pod in await world.pods(revision)}
                return gone not in left and await world.ready_pods(revision) == 2

            await world.until(f"{name} is replaced", is_replaced)


async def evict(world: World, pod: str) -> None:
    """Evict a pod as a node's drain does."""
    body: Object = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    await world.instance.client.create(resources.PODS, body, world.namespace, "eviction")
