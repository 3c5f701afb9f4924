"""WebSockets: through all hops, from zero, split between revisions, at a revision's end and at its limits of time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.conformance.world import World, service
from tidegate.kube import resources
from tidegate.kube.api import Object

BURST = "autoscaling.knative.dev/target-burst-capacity"
MESSAGE = "Hello, websocket"
CONNECTIONS, AT_ONCE = 200, 10


def echo_service(name: str = "echo", suffix: str = "", **changes: Any) -> Object:
    """Return a Service of the echo program."""
    return service(name, "wsserver", container={"env": [{"name": "SUFFIX", "value": suffix}]}, **changes)


def dial(world: World, host: str, path: str = "/") -> connect:
    """Return a connection to be entered or awaited."""
    return connect(f"ws://{host}:{world.instance.port}{path}", host="127.0.0.1", open_timeout=60, proxy=None)


async def answer(world: World, host: str, path: str = "/", timeout_s: float = 60.0) -> str:
    """Return the echo of one message on a connection of its own."""
    async with dial(world, host, path) as connection:
        await connection.send(MESSAGE)
        return str(await asyncio.wait_for(connection.recv(), timeout_s))


async def echoes(world: World, host: str) -> None:
    """Wait until the host echoes."""

    async def check() -> bool:
        try:
            return (await answer(world, host)).startswith(MESSAGE)
        except (WebSocketException, OSError):
            return False

    await world.until(f"{host} echoes", check)


@pytest.mark.upstream("e2e", "TestWebSocket")
async def test_messages_come_back(world: World) -> None:
    await world.deploy(echo_service(suffix="again"))
    host = world.host("echo")
    await echoes(world, host)
    async with dial(world, host) as connection:
        for number in range(5):
            await connection.send(f"{MESSAGE} {number}")
            assert await asyncio.wait_for(connection.recv(), 60) == f"{MESSAGE} {number} again"


@pytest.mark.upstream("e2e", "TestWebSocketViaActivator")
async def test_messages_come_back_through_the_activator_and_from_zero(world: World) -> None:
    annotations = {BURST: "-1", "autoscaling.knative.dev/window": "6s"}
    made = await world.deploy(echo_service(annotations=annotations))
    revision, host = made["status"]["latestReadyRevisionName"], world.host("echo")
    await echoes(world, host)

    async def at_zero() -> bool:
        return not await world.pods(revision)

    await world.until("the revision is at zero", at_zero)
    assert await answer(world, host) == MESSAGE


@pytest.mark.upstream("e2e", "TestWebSocketBlueGreenRoute")
async def test_connections_are_split_between_revisions(world: World) -> None:
    traffic = [{"revisionName": "split-blue", "percent": 50}, {"revisionName": "split-green", "percent": 50}]
    first = await world.deploy(echo_service("split", "blue", revision="split-blue"))
    template = echo_service("split", "green", revision="split-green")["spec"]["template"]
    await world.patch("Service", "split", {"spec": {"template": template, "traffic": traffic}})
    both = await world.ready("Service", "split")
    assert both["metadata"]["uid"] == first["metadata"]["uid"]
    host = world.host("split")
    await echoes(world, host)
    counts: Counter[str] = Counter()

    async def some() -> None:
        for _ in range(CONNECTIONS // AT_ONCE):
            counts[(await answer(world, host)).removeprefix(f"{MESSAGE} ")] += 1

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    assert set(counts) == {"blue", "green"}
    assert all(75 <= count <= 125 for count in counts.values()), counts


@pytest.mark.upstream("e2e", "TestWebSocketGracefulShutdown")
async def test_a_deleted_service_says_goodbye_to_open_connections(world: World) -> None:
    await world.deploy(echo_service())
    host = world.host("echo")
    await echoes(world, host)
    async with dial(world, host) as connection:
        await connection.send(MESSAGE)
        assert await asyncio.wait_for(connection.recv(), 60) == MESSAGE
        await world.delete("Service", "echo")
        with pytest.raises(ConnectionClosed) as closed:
            await _echo_until_closed(connection)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "bye")


async def _echo_until_closed(connection: ClientConnection) -> None:
    async with asyncio.timeout(90):
        while True:
            await connection.send(MESSAGE)
            assert await connection.recv() == MESSAGE
            await asyncio.sleep(0.2)


@pytest.mark.upstream("e2e", "TestWebSocketWithTimeout")
@pytest.mark.parametrize("limit", ["timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"])
@pytest.mark.parametrize("is_in_time", [True, False], ids=["in time", "too late"])
async def test_connections_end_at_the_limits_of_time(world: World, limit: str, is_in_time: bool) -> None:
    limits = {"timeoutSeconds": 4} | {limit: 4}
    await world.deploy(echo_service(spec=limits))
    host = world.host("echo")
    await echoes(world, host)
    if is_in_time:
        assert await answer(world, host, "/?delay=1") == MESSAGE
    else:
        with pytest.raises(ConnectionClosed):
            await answer(world, host, "/?delay=8", 15)


@pytest.mark.upstream("packages", "TestDomainMappingWebsocket")
async def test_messages_come_back_under_a_domain_of_ones_own(world: World) -> None:
    await world.deploy(echo_service())
    domain = f"{world.namespace}.example.com"
    reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "echo"}
    await world.instance.client.create(
        resources.DOMAIN_MAPPINGS, {"metadata": {"name": domain}, "spec": {"ref": reference}}, world.namespace
    )
    await echoes(world, domain)
