"""Limits: memory, time and requests at once, each of them kept, and none of them the end of the service."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.conformance.world import World, service
from tidegate.kube.api import Object

LIMIT_S = 3


async def _status(world: World, path: str) -> int:
    """Return the status of an answer whose end is of no interest."""
    async with (
        httpx.AsyncClient(timeout=30.0) as client,
        client.stream(
            "GET", f"http://127.0.0.1:{world.instance.port}{path}", headers={"host": world.host("slow")}
        ) as reply,
    ):
        return reply.status_code


@pytest.mark.upstream("api", "TestRevisionTimeout")
@pytest.mark.parametrize(
    ("path", "status"),
    [("/?initialTimeout=500", 200), ("/?initialTimeout=4500", 504), ("/?initialTimeout=0&timeout=4500", 200)],
    ids=["in time", "late first byte", "early first byte"],
)
async def test_the_first_byte_comes_within_the_timeout_or_the_answer_is_504(
    world: World, path: str, status: int
) -> None:
    # Only the start of the answer is bounded in upstream's test: the third one must not be 504.
    limits: Object = {"timeoutSeconds": LIMIT_S, "responseStartTimeoutSeconds": LIMIT_S}
    await world.deploy(service("slow", "timeout", spec=limits))
    assert await _status(world, path) == status


@pytest.mark.upstream("api", "TestSingleConcurrency")
async def test_a_container_with_concurrency_one_never_sees_two_requests_at_once(world: World) -> None:
    await world.deploy(service("alone", "singlethreaded", spec={"containerConcurrency": 1}))
    host, deadline, seen = world.host("alone"), time.monotonic() + 6.0, []

    async def client() -> None:
        while time.monotonic() < deadline:
            reply = await world.ask(host)
            seen.append((reply.status, reply.body.strip()))

    await asyncio.gather(*(client() for _ in range(5)))
    assert len(seen) >= 10
    assert set(seen) == {(200, b"One at a time")}


@pytest.mark.upstream("api", "TestCustomResourcesLimits")
async def test_a_request_beyond_the_memory_limit_fails_and_the_service_recovers(world: World) -> None:
    resources = {"limits": {"memory": "350Mi"}, "requests": {"memory": "350Mi"}}
    await world.deploy(service("heavy", "autoscale", container={"resources": resources}))
    host = world.host("heavy")
    for size in (100, 200):
        assert (await world.ask(host, f"/?bloat={size}")).status == 200
    assert (await world.ask(host, "/?bloat=500")).status >= 500
    await world.serves(host, "Took")
    assert (await world.ask(host, "/?bloat=100")).status == 200
