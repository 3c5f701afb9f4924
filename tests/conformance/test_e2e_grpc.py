"""gRPC through all hops: single messages and streams, with the activator in the path and without, up and down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from tests.conformance.scaling import TARGET, Bounds, annotations, at_zero, has_mode, reaches
from tests.conformance.world import World, service

PORTS = [{"name": "h2c", "containerPort": 8080}]
CALL_TIMEOUT_S = 30.0
STREAM_MESSAGES = 10


async def deploy(world: World, env: dict[str, str] | None = None, **changes: str) -> str:
    """Deploy the gRPC program and return its revision's name."""
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container = {"ports": PORTS, "env": variables}
    made = await world.deploy(service("ping", "grpc_ping", container=container, annotations=annotations(**changes)))
    return str(made["status"]["latestReadyRevisionName"])


@contextlib.asynccontextmanager
async def channel(world: World) -> AsyncIterator[grpc.aio.Channel]:
    """Give a connection of its own to the service."""
    options = [("grpc.default_authority", world.host("ping")), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.instance.port}", options=options) as opened:
        yield opened


async def ping(calls: grpc.aio.Channel, text: bytes = b"hello!") -> bytes:
    """Return the answer to one message."""
    answer: bytes = await calls.unary_unary("/ping.PingService/Ping")(text, timeout=CALL_TIMEOUT_S)
    return answer


async def check_unary(world: World) -> None:
    """Ask once, and again for a revision whose answers end differently."""
    async with channel(world) as calls:
        assert await ping(calls) == b"hello!"
        await world.update_template("ping", {"env": [{"name": "SUFFIX", "value": " and bye"}]})
        await world.ready("Service", "ping")

        async def changed() -> bool:
            return await ping(calls) == b"hello! and bye"

        await world.until("the new revision answers the old connection", changed)


async def check_stream(world: World) -> None:
    """Send messages one by one, each after the answer to the one before; the stream ends well."""
    async with channel(world) as calls:
        stream = calls.stream_stream("/ping.PingService/PingStream")(timeout=CALL_TIMEOUT_S)
        for number in range(STREAM_MESSAGES):
            await stream.write(b"%d" % number)
            assert await stream.read() == b"%d" % number
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.upstream("e2e", "TestGRPCUnaryPing")
async def test_one_message(world: World) -> None:
    await deploy(world)
    await check_unary(world)


@pytest.mark.upstream("e2e", "TestGRPCStreamingPing")
async def test_a_stream_of_messages(world: World) -> None:
    await deploy(world)
    await check_stream(world)


@pytest.mark.upstream("e2e", "TestGRPCUnaryPingViaActivator")
async def test_one_message_by_way_of_the_activator(world: World) -> None:
    await has_mode(world, await deploy(world, target_burst_capacity="-1"), "Proxy")
    await check_unary(world)


@pytest.mark.upstream("e2e", "TestGRPCStreamingPingViaActivator")
async def test_a_stream_by_way_of_the_activator(world: World) -> None:
    await has_mode(world, await deploy(world, target_burst_capacity="-1"), "Proxy")
    await check_stream(world)


@pytest.mark.upstream("e2e", "TestGRPCAutoscaleUpDownUp")
async def test_pods_follow_calls(world: World) -> None:
    revision = await deploy(world, {"DELAY": "0.5"})
    async with calling(world, 2 * TARGET):
        await reaches(world, revision, Bounds(1, 2))
    await at_zero(world, revision)
    async with calling(world, 2 * TARGET):
        await reaches(world, revision, Bounds(0, 2))


@contextlib.asynccontextmanager
async def calling(world: World, count: int) -> AsyncIterator[None]:
    """Keep `count` calls in flight, each on a connection of its own; every one must be answered."""
    stopping = asyncio.Event()

    async def worker() -> None:
        async with channel(world) as calls:
            while not stopping.is_set():
                assert await ping(calls) == b"hello!"

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(worker())
        try:
            yield
        finally:
            stopping.set()


@pytest.mark.upstream("e2e", "TestGRPCLoadBalancing")
async def test_streams_are_spread_over_the_pods(world: World) -> None:
    wanted = annotations(min_scale="3", max_scale="3", initial_scale="3", target_burst_capacity="-1")
    container = {"ports": PORTS, "env": [{"name": "HOSTNAME_SUFFIX", "value": "true"}]}
    await world.deploy(
        service("ping", "grpc_ping", container=container, annotations=wanted, spec={"containerConcurrency": 1})
    )
    hosts: set[bytes] = set()

    async def one() -> None:
        async with channel(world) as calls:
            stream = calls.stream_stream("/ping.PingService/PingStream")(timeout=CALL_TIMEOUT_S)
            await stream.write(b"on ")
            hosts.add(await stream.read())
            await asyncio.sleep(1)
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF

    await asyncio.gather(*(one() for _ in range(9)))
    assert len(hosts) >= 3, hosts
