"""Looks at nodes: who does not tell holds nobody else up."""

from __future__ import annotations

import asyncio

import pytest

from cluster.controllers.usage import Amount, Look, Meter, seen
from tidegate.kube.api import ApiError, Object


def told(spent_s: int, pod: str = "p") -> Object:
    used = {"cpu": {"usageCoreNanoSeconds": spent_s * 10**9}, "memory": {"workingSetBytes": 7}}
    return {"pods": [{"podRef": {"namespace": "default", "name": pod}, "containers": [{"name": "c", **used}]}]}


async def test_the_pods_of_a_mute_node_are_left_out() -> None:
    async def ask(node: str) -> Object:
        if node == "mute":
            raise ApiError(503, "ServiceUnavailable", "no")
        return told(1)

    meter = Meter(ask)
    assert await meter.amounts(["mute", "fine"]) == {}
    with pytest.raises(ApiError):
        await meter.amounts(["mute"])
    assert await meter.amounts([]) == {}


@pytest.mark.looptime
async def test_a_node_that_keeps_one_waiting_keeps_nobody_else() -> None:
    slow = asyncio.Event()

    async def ask(node: str) -> Object:
        if node == "slow":
            await slow.wait()
        return told(1)

    meter = Meter(ask)
    waiting = asyncio.create_task(meter.look("slow"))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await meter.amounts(["fine"]) == {}
    waiting.cancel()


def test_pods_that_vanish_are_forgotten() -> None:
    first = seen(Look(), told(1), 10.0)
    gone = seen(first, {"pods": []}, 20.0)
    assert gone.amounts == {}
    again = seen(gone, told(50), 30.0)
    assert again.amounts == {}, "seen for the first time"
    assert seen(again, told(55), 40.0).amounts == {("default", "p"): Amount(0.5, 7.0)}
