"""Many connections: limits in all and by address, refused ones that flood, as many idle ones as descriptors allow."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import h2_raw as h2
from tests.support.h2_raw import RawClient
from tests.support.hostile_rows import CANARY, Line, get
from tests.support.hostile_world import PATIENCE_S, World
from tidegate.wire.crowd import TOLD_LIMIT


@pytest.fixture
def crowded(world: World) -> Iterator[World]:
    """A world with room for four connections."""
    crowd = world.server.crowd
    kept = crowd.limit, crowd.per_peer_limit
    crowd.limit = 4
    world.recorder.begin()
    yield world
    crowd.limit, crowd.per_peer_limit = kept
    assert (crowd.open, crowd.told, crowd._by_peer) == (0, 0, {})


async def full(world: World, count: int) -> list[Line]:
    lines = [await Line.connect(world.port) for _ in range(count)]
    for line in lines:
        line.send(get())
        assert (await line.answer()).status == 200
    return lines


def test_one_too_many(crowded: World) -> None:
    async def main() -> None:
        lines = await full(crowded, 4)
        late = await Line.connect(crowded.port)
        late.send(CANARY)
        answer = await late.answer()
        assert (answer.status, answer.reason) == (503, "too_many_connections")
        assert (answer.header(b"retry-after"), answer.header(b"connection")) == (b"1", b"close")
        assert await late.over() == b""
        late.close()
        for line in lines:  # those that are inside go on
            line.send(get())
            assert (await line.answer()).status == 200
        lines.pop().close()
        while crowded.server.counters.connections_open > 3:
            await asyncio.sleep(0.001)
        lines += await full(crowded, 1)  # and there is room again
        for line in lines:
            line.close()
        await crowded.settled()
        assert crowded.recorder.seen and all(message.start[1] == b"/" for message in crowded.recorder.seen)

    crowded.run(main())


def test_one_too_many_of_one_address(crowded: World) -> None:
    async def main() -> None:
        crowded.server.crowd.limit = 0
        crowded.server.crowd.per_peer_limit = 2
        lines = await full(crowded, 2)
        late = await Line.connect(crowded.port)
        assert (await late.answer()).reason == "too_many_connections"
        other = Line()
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: other, "127.0.0.1", crowded.port, local_addr=("127.0.0.9", 0))
        other.send(get())
        assert (await other.answer()).status == 200
        for line in (*lines, late, other):
            line.close()
        await crowded.settled()

    crowded.run(main())


def test_http2_counts_as_one(crowded: World) -> None:
    async def main() -> None:
        clients = [await RawClient.connect(crowded.port) for _ in range(4)]
        for client in clients:
            client.send(h2.headers(1, h2.GET))
            assert (await client.answer(1)).status == 200
        late = await Line.connect(crowded.port)
        assert (await late.answer()).reason == "too_many_connections"
        late.close()
        for client in clients:
            client.close()
        await crowded.settled()

    crowded.run(main())


def test_a_flood_of_connections_beyond_the_limit(crowded: World) -> None:
    """A few are told why, the others are closed at once; whoever is inside does not notice."""

    async def main() -> None:
        lines = await full(crowded, 4)
        before = crowded.server.counters.connections_refused
        flood = [await Line.connect(crowded.port) for _ in range(3 * TOLD_LIMIT)]
        async with asyncio.timeout(PATIENCE_S):
            while crowded.server.counters.connections_refused < before + len(flood):
                await asyncio.sleep(0.001)
        assert len(crowded.server._connections) <= 4 + TOLD_LIMIT
        for line in flood:
            line.close()
        for line in lines:
            line.send(get())
            assert (await line.answer()).status == 200
            line.close()
        await crowded.settled()

    crowded.run(main())


@contextlib.asynccontextmanager
async def idle(port: int, count: int) -> AsyncIterator[list[socket.socket]]:
    """Open plain sockets: nothing of the test's own stands between them and the kernel."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        for number in range(count):
            endpoint = socket.socket()
            endpoint.setblocking(False)
            sockets.append(endpoint)
            await loop.sock_connect(endpoint, ("127.0.0.1", port))
            if number % 200 == 199:
                await asyncio.sleep(0)  # let the other side accept
        yield sockets
    finally:
        for endpoint in sockets:
            endpoint.close()


@pytest.mark.slow
@pytest.mark.parametrize("world", [("gateway", "uvloop")], indirect=True, ids=["gateway-uvloop"])
def test_twenty_thousand_idle_connections(world: World) -> None:
    """As many as descriptors allow, for both ends of each are ours here: they cost no timer each, and leave nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(20_000, soft * 4 // 10)

    async def main() -> None:
        world.recorder.begin()
        began = time.monotonic()
        async with idle(world.port, count) as sockets:
            while world.server.counters.connections_open < count:
                await asyncio.sleep(0.01)
            loop = asyncio.get_running_loop()
            for endpoint in sockets[:: count // 100]:
                await loop.sock_sendall(endpoint, CANARY)
                assert (await loop.sock_recv(endpoint, 4096)).startswith(b"HTTP/1.1 200 ")
            elapsed_s = time.monotonic() - began
            assert len(world.server.deadlines._slots) <= elapsed_s / world.server.timers.resolution_s + 3
        await world.settled()

    world.run(main())
