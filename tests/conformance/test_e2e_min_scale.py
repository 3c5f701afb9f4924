"""The floor under a revision's pods: before it is Ready, while it is reachable, and not afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadtest.instance import is_ready
from tests.conformance.scaling import annotations
from tests.conformance.world import World, image, service
from tidegate.kube.api import ApiError

MIN = 4


async def created(world: World, name: str, other_than: str = "") -> str:
    """Return the name of a Service's newest revision."""

    async def check() -> Any:
        found = ((await world.get("Service", name)).get("status") or {}).get("latestCreatedRevisionName")
        return found if found != other_than else None

    return str(await world.until("a revision", check))


async def has_pods(world: World, revision: str, least: int, most: int, timeout_s: float = 90.0) -> None:
    """Wait until a revision has so many ready pods."""

    async def check() -> bool:
        return least <= await world.ready_pods(revision) <= most

    await world.until(f"{least} to {most} pods of {revision}", check, timeout_s)


@pytest.mark.upstream("e2e", "TestMinScale")
async def test_the_floor_holds_while_a_route_reaches_the_revision(world: World) -> None:
    await world.create(service("floor", annotations=annotations(min_scale=str(MIN))))
    first = await created(world, "floor")
    await world.ready("Revision", first)
    assert await world.ready_pods(first) >= MIN
    await world.ready("Service", "floor")
    for _ in range(10):
        assert await world.ready_pods(first) >= MIN
        await asyncio.sleep(1)
    await world.update_template("floor", {"image": image("pizzaplanetv1")})
    second = await created(world, "floor", first)
    await world.ready("Service", "floor")
    assert await world.ready_pods(second) >= MIN
    await has_pods(world, first, 0, MIN - 1)


@pytest.mark.upstream("e2e", "TestMinScale")
async def test_the_floor_is_lifted_when_the_route_is_deleted(world: World) -> None:
    await world.deploy_parts(service("floor", annotations=annotations(min_scale=str(MIN))))
    revision = (await world.get("Configuration", "floor"))["status"]["latestReadyRevisionName"]
    await has_pods(world, revision, MIN, MIN)
    await world.delete("Route", "floor")
    await has_pods(world, revision, 0, MIN - 1)


@pytest.mark.upstream("e2e", "TestMinScaleTransition")
async def test_the_old_revision_keeps_its_floor_until_the_new_one_has_all_its_pods(world: World) -> None:
    probe = {"readinessProbe": {"httpGet": {"path": "/healthz"}, "periodSeconds": 1}}
    wanted = annotations(min_scale=str(MIN))
    await world.create(service("moving", "gated", container=probe, annotations=wanted))
    first = await created(world, "moving")
    await open_gates(world, first, MIN)
    await world.ready("Service", "moving")
    await world.update_template("moving", {"labels": {"second": "true"}})
    second = await created(world, "moving", first)
    for pods in range(1, MIN):
        await open_gates(world, second, pods)
        for _ in range(4):
            assert await world.ready_pods(first) == MIN, f"{pods} of the new pods are ready"
            await asyncio.sleep(0.5)
        assert not is_ready(await world.get("Revision", second))
    await open_gates(world, second, MIN)
    await world.ready("Revision", second)
    await has_pods(world, first, 0, MIN - 1)
    assert await world.ready_pods(second) == MIN


async def open_gates(world: World, revision: str, count: int) -> None:
    """Tell pods of a revision to be ready until `count` of them are."""

    async def check() -> bool:
        pods = sorted(await world.pods(revision), key=lambda pod: not is_ready(pod))
        for pod in pods[:count]:
            if not is_ready(pod):
                path = f"/api/v1/namespaces/{world.namespace}/pods/{pod['metadata']['name']}:8012/proxy/open"
                try:
                    await world.instance.client.raw("GET", path)
                except ApiError:
                    return False
        return await world.ready_pods(revision) == count

    await world.until(f"{count} pods of {revision} are ready", check)


@pytest.mark.upstream("e2e", "TestMinScaleAnnotationChange")
async def test_the_floor_of_a_revision_is_changed_in_place(world: World) -> None:
    made = await world.deploy(service("edited", annotations=annotations(min_scale="1")))
    revision = made["status"]["latestReadyRevisionName"]
    await has_pods(world, revision, 1, 1)
    for floor in (2, 3, 0):
        change = {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": str(floor)}}}
        await world.patch("Revision", revision, change)
        await has_pods(world, revision, floor, floor)
