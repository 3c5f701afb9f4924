"""Either side leaves at any step, and the server drains at any step: nothing is left, and whoever stays is told.

Steps are turns of the event loop, so that every await and every callback of an exchange is met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support import h2_raw as h2
from tests.support.h2_raw import RawClient
from tests.support.hostile_rows import CHUNKED, Line, get, post
from tests.support.hostile_upstream import Connection, answer_ok, nothing
from tests.support.hostile_world import PATIENCE_S, World
from tests.support.strict_http import Message
from tests.support.wire import Peer, rig
from tidegate.wire.director import Answer, Failure, Relay, Request
from tidegate.wire.limits import ServerTimers

TURNS = (0, 1, 2, 3, 4, 6, 9, 13)
LEAVES: dict[str, Callable[[Line], None]] = {"closes": Line.close, "resets": Line.reset}
BODY = b"x" * 300_000
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"

REQUESTS: dict[str, bytes] = {
    "nothing": b"",
    "a letter": b"G",
    "half a head": get()[:20],
    "a GET": get(),
    "two GETs": get() * 2,
    "half a body": post(b"Content-Length: 10\r\n", b"half"),
    "a large body": post(b"Content-Length: 300000\r\n", BODY),
    "half a chunk": post(CHUNKED, b"5\r\nhe"),
    "an expectation": post(b"Expect: 100-continue\r\nContent-Length: 5\r\n"),
    "an upgrade": get(b"Connection: Upgrade\r\nUpgrade: x\r\n", b"/switch"),
    "a GET and half another": get() + get()[:30],
    "a bad request": b"GET / HTTP/1.1\r\n\r\n",
    "half the preface of HTTP/2": h2.PREFACE[:18],
    "a stream": h2.PREFACE + h2.settings() + h2.headers(1, h2.GET),
    "half a stream": h2.PREFACE + h2.settings() + h2.headers(1, h2.POST, end=False) + h2.data(1, b"x", end=False),
}


def answer_half(connection: Connection, message: Message) -> None:
    """Begin an answer and leave it at that."""
    connection.send(HALF)


UPSTREAMS: dict[str, Callable[[Connection, Message], None]] = {
    "answers": answer_ok,
    "says nothing": nothing,
    "answers half": answer_half,
}


@pytest.mark.parametrize("leaving", LEAVES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", REQUESTS)
def test_the_client_leaves(world: World, name: str, upstream: str, leaving: str) -> None:
    async def main() -> None:
        for turns in TURNS:
            world.recorder.begin()
            world.recorder.on_request = UPSTREAMS[upstream]
            line = await Line.connect(world.port)
            line.send(REQUESTS[name])
            for _ in range(turns):
                await asyncio.sleep(0)
            LEAVES[leaving](line)
            await world.settled()
            world.recorder.check(is_cut=True)

    world.run(main())


ENDS: dict[str, Callable[[Connection], None]] = {"closes": Connection.close, "resets": Connection.reset}
SAID: dict[str, bytes] = {
    "nothing": b"",
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half an answer": HALF,
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "a whole answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("ending", ENDS)
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("name", ["a GET", "half a body", "a large body", "an expectation", "an upgrade"])
def test_the_upstream_leaves(world: World, name: str, said: str, ending: str) -> None:
    """At its head, or some turns later; the client gets a whole answer, 502, or sees that its answer is cut."""

    async def main() -> None:
        for turns in TURNS:
            world.recorder.begin()
            world.recorder.on_request = nothing
            world.recorder.on_head = lambda connection, message, turns=turns: leave(connection, turns)
            line = await Line.connect(world.port)
            line.send(REQUESTS[name])
            async with asyncio.timeout(PATIENCE_S):
                while not (line.is_over or b"HTTP/1.1 2" in line.raw or b"HTTP/1.1 5" in line.raw):
                    line.news.clear()
                    await line.news.wait()
            line.close()
            await world.settled()

    def leave(connection: Connection, turns: int) -> None:
        connection.send(SAID[said])
        later(turns, lambda: ENDS[ending](connection))

    def later(turns: int, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(*((later, turns - 1, act) if turns else (act,)))

    world.run(main())


@pytest.mark.parametrize("ending", ENDS)
def test_either_end_of_a_tunnel(world: World, ending: str) -> None:
    async def main() -> None:
        for turns in TURNS:
            for is_client in (True, False):
                world.recorder.begin()
                line = await Line.connect(world.port)
                line.send(REQUESTS["an upgrade"] + b"hello")
                assert (await line.answer()).status == 101
                line.send(b"more" * turns)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if is_client:
                    LEAVES[ending](line)
                else:
                    ENDS[ending](next(found for found in world.recorder.connections if found.tunnel is not None))
                    await line.over()
                    line.close()
                await world.settled()

    world.run(main())


@pytest.mark.parametrize("leaving", LEAVES)
def test_a_client_leaves_the_queue(world: World, leaving: str) -> None:
    """The one slot is taken: those behind it wait, and leave no place behind when they go."""

    async def main() -> None:
        for turns in TURNS:
            world.recorder.begin()
            world.recorder.on_request = nothing
            first = await Line.connect(world.port)
            first.send(get())
            while not world.recorder.seen:
                await asyncio.sleep(0)
            others = [await Line.connect(world.port) for _ in range(3)]
            for other in others:
                other.send(get())
            for _ in range(turns):
                await asyncio.sleep(0)
            for other in others:
                LEAVES[leaving](other)
            LEAVES[leaving](first)
            await world.settled()

    world.run(main())


@pytest.mark.parametrize("code", [h2.CANCEL, h2.NO_ERROR])
@pytest.mark.parametrize("upstream", ["answers", "says nothing"])
def test_a_stream_is_reset(world: World, upstream: str, code: int) -> None:
    async def main() -> None:
        client = await RawClient.connect(world.port)
        for turns in TURNS:
            world.recorder.begin()
            world.recorder.on_request = UPSTREAMS[upstream]
            stream_id = 2 * turns + 1
            client.send(h2.headers(stream_id, h2.POST, end=False) + h2.data(stream_id, b"x", end=False))
            for _ in range(turns):
                await asyncio.sleep(0)
            client.send(h2.reset(stream_id, code))
            await client.pong()
        client.close()
        await world.settled()

    world.run(main())


# --- a server that drains: it can be done once only, so the engine alone is taken ---

DIRECTED: dict[str, Callable[[Request, int], object]] = {
    "relayed": lambda request, port: Relay("127.0.0.1", port),
    "held": lambda request, port: held(port),
    "held for ever": lambda request, port: asyncio.get_running_loop().create_future(),
    "answered": lambda request, port: Answer(200, body=b"ok"),
    "refused": lambda request, port: Relay("127.0.0.1", 1),
}


async def held(port: int) -> Relay:
    for _ in range(3):
        await asyncio.sleep(0)
    return Relay("127.0.0.1", port)


async def half_answer(peer: Peer) -> None:
    await peer.head()
    peer.send(HALF)
    await peer.gone()


DRAINED = ("half a head", "a GET", "two GETs", "half a body", "an upgrade", "half a stream")


@pytest.mark.parametrize("directed", DIRECTED)
@pytest.mark.parametrize("name", DRAINED)
async def test_the_server_drains(name: str, directed: str) -> None:
    """`rig` asserts that each request finished once, and that no connection, slot or task is left."""
    timers = ServerTimers(linger_s=0.005, resolution_s=0.005)
    for turns in (0, 2, 5, 9):
        async with rig(half_answer, direct=DIRECTED[directed], timers=timers) as wire:
            client = await wire.client()
            client.send(REQUESTS[name])
            for _ in range(turns):
                await asyncio.sleep(0)
            await wire.server.drain(0.005)
            await client.gone()
            await wire.director.all_finished()
            failures = {outcome.failure for outcome in wire.director.outcomes}
            assert failures <= {None, Failure.DRAINED, Failure.CLIENT_GONE, Failure.BAD_REQUEST}
