"""Pods follow the load, up and down, by concurrency and by requests per second."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from loadtest.instance import is_ready
from tests.conformance import scaling
from tests.conformance.scaling import TARGET, Bounds, annotations, at_zero, in_flight, reaches
from tests.conformance.world import World, is_current, service

HOLD_S = 20.0


async def deploy(world: World, **changes: str) -> str:
    """Deploy the program that sleeps and return its revision's name."""
    made = await world.deploy(service("scaled", "autoscale", annotations=annotations(**changes)))
    return str(made["status"]["latestReadyRevisionName"])


@pytest.mark.upstream("e2e", "TestAutoscaleUpDownUp")
@pytest.mark.parametrize("algorithm", ["linear", "weighted-exponential"])
async def test_up_down_to_zero_and_up_again(world: World, algorithm: str) -> None:
    revision = await deploy(world, metric_aggregation_algorithm=algorithm)
    async with in_flight(world, world.host("scaled"), 2 * TARGET):
        await reaches(world, revision, Bounds(1, 2))
    await at_zero(world, revision)
    found = await world.get("Revision", revision)
    assert is_current(found) and is_ready(found), "a revision at zero is Ready"
    async with in_flight(world, world.host("scaled"), 2 * TARGET):
        await reaches(world, revision, Bounds(0, 2))


@pytest.mark.upstream("e2e", "TestAutoscaleUpCountPods")
async def test_one_pod_more_for_each_step_of_load(world: World) -> None:
    revision = await deploy(world)
    async with contextlib.AsyncExitStack() as load:
        await load.enter_async_context(in_flight(world, world.host("scaled"), TARGET))
        for pods in (2, 3, 4):
            await load.enter_async_context(in_flight(world, world.host("scaled"), TARGET))
            await reaches(world, revision, Bounds(pods - 1, pods))


@pytest.mark.upstream("e2e", "TestRPSBasedAutoscaleUpCountPods")
async def test_pods_follow_requests_per_second(world: World) -> None:
    revision = await deploy(world, metric="rps", target="10")
    async with contextlib.AsyncExitStack() as load:
        await load.enter_async_context(scaling.at_rate(world, world.host("scaled"), 10))
        for pods in (2, 3, 4):
            await load.enter_async_context(scaling.at_rate(world, world.host("scaled"), 10))
            await reaches(world, revision, Bounds(pods - 1, pods))


@pytest.mark.upstream("e2e", "TestAutoscaleSustaining")
async def test_a_steady_load_keeps_its_pods(world: World) -> None:
    revision = await deploy(world)
    async with in_flight(world, world.host("scaled"), 8 * TARGET):
        await reaches(world, revision, Bounds(1, 8), HOLD_S)


@pytest.mark.upstream("e2e", "TestActivationScale")
async def test_the_first_request_at_zero_asks_for_the_activation_scale(world: World) -> None:
    revision = await deploy(world, activation_scale="5")
    await at_zero(world, revision)
    asked = asyncio.ensure_future(world.ask(world.host("scaled")))

    async def pods() -> bool:
        return len(await world.pods(revision)) == 5

    await world.until("5 pods", pods)
    assert (await asked).status == 200


MOST = 3


@pytest.mark.upstream("e2e", "TestHPAAutoscaleUpDownUp")
async def test_an_hpa_scales_by_processor(world: World) -> None:
    await horizontally(world, "/?prime=300000", 4, metric="cpu", target="50")


@pytest.mark.upstream("e2e", "TestHPAAutoscaleUpDownUpMem")
async def test_an_hpa_scales_by_memory(world: World) -> None:
    # A pod without requests holds some 50 MiB.
    await horizontally(world, "/?bloat=100&sleep=1000", 6, metric="memory", target="120")


async def horizontally(world: World, path: str, requests: int, **changes: str) -> None:
    """Go up under load, down to one pod without it, twice; a revision of class hpa never goes to zero."""
    wanted = {"class": "hpa.autoscaling.knative.dev", "max_scale": str(MOST), "window": "6s"} | changes
    scale = {f"autoscaling.knative.dev/{key.replace('_', '-')}": value for key, value in wanted.items()}
    resources = {"requests": {"cpu": "50m", "memory": "50Mi"}}
    made = await world.deploy(service("scaled", "autoscale", annotations=scale, container={"resources": resources}))
    revision = made["status"]["latestReadyRevisionName"]

    async def pods_between(least: int, most: int) -> None:
        async def check() -> bool:
            return least <= len(await world.pods(revision)) <= most

        await world.until(f"{least} to {most} pods", check)

    for _ in range(2):
        async with in_flight(world, world.host("scaled"), requests, path):
            await pods_between(2, MOST)
        await pods_between(1, 1)
