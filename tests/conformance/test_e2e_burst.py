"""The activator is in the path as long as the pods cannot take the target burst, and not longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest

from tests.conformance import scaling
from tests.conformance.scaling import annotations, at_zero, has_mode, in_flight
from tests.conformance.world import World, service

BURST = 100
GRACE_S = 5.0
"""scale-to-zero-grace-period of the test cluster."""


async def deploy(world: World, app: str = "autoscale", **changes: str) -> str:
    """Deploy a program and return its revision's name."""
    made = await world.deploy(service("burst", app, annotations=annotations(**changes)))
    return str(made["status"]["latestReadyRevisionName"])


@pytest.mark.upstream("e2e", "TestActivatorOverload")
async def test_a_burst_at_zero_is_answered_in_full(world: World) -> None:
    wanted = annotations(target_burst_capacity="-1", max_scale="10")
    made = await world.deploy(service("burst", "timeout", annotations=wanted, spec={"containerConcurrency": 1}))
    await at_zero(world, made["status"]["latestReadyRevisionName"])
    replies = await asyncio.gather(*(world.ask(world.host("burst"), "/?timeout=300") for _ in range(BURST)))
    assert Counter(reply.status for reply in replies) == {200: BURST}


@pytest.mark.upstream("e2e", "TestTargetBurstCapacity")
async def test_the_activator_leaves_the_path_when_the_pods_can_take_the_burst(world: World) -> None:
    revision = await deploy(world, target="10", target_burst_capacity="7")
    await has_mode(world, revision, "Serve")
    async with contextlib.AsyncExitStack() as load:
        # One pod of 10 less 7 in flight less a burst of 7 is below nothing.
        await load.enter_async_context(in_flight(world, world.host("burst"), 7))
        await has_mode(world, revision, "Proxy")
        # Two pods of 10 less 12 less 7 is one to spare.
        await load.enter_async_context(in_flight(world, world.host("burst"), 5))

        async def two() -> bool:
            return await world.ready_pods(revision) == 2 and len(await scaling.addresses(world, revision)) == 2

        await world.until("two pods and their two addresses", two)
        await has_mode(world, revision, "Serve")


@pytest.mark.upstream("e2e", "TestTargetBurstCapacityMinusOne")
async def test_minus_one_keeps_the_activator_in_the_path(world: World) -> None:
    revision = await deploy(world, target="10", target_burst_capacity="-1")
    await has_mode(world, revision, "Proxy")
    async with in_flight(world, world.host("burst"), 14):

        async def grown() -> bool:
            assert await scaling.mode(world, revision) == "Proxy"
            return await world.ready_pods(revision) >= 2

        await world.until("two pods", grown)
        await asyncio.sleep(4)
        assert await scaling.mode(world, revision) == "Proxy"


@pytest.mark.upstream("e2e", "TestTargetBurstCapacityZero")
async def test_zero_leaves_the_activator_out_while_there_are_pods(world: World) -> None:
    revision = await deploy(world, target="10", target_burst_capacity="0", window="10s")
    await has_mode(world, revision, "Serve")
    async with in_flight(world, world.host("burst"), 7):
        await asyncio.sleep(3)
        assert await scaling.mode(world, revision) == "Serve"
    await at_zero(world, revision)
    assert await scaling.mode(world, revision) == "Proxy"


@pytest.mark.upstream("e2e", "TestFastScaleToZero")
async def test_the_shortest_window_is_at_zero_soon(world: World) -> None:
    revision = await deploy(world, target_burst_capacity="-1")
    assert await world.text(world.host("burst"))

    async def gone() -> bool:
        return not await scaling.addresses(world, revision)

    await world.until("no address is left", gone, GRACE_S + 15.0)
