"""Upstreams that answer before they have read the request's body, or never read it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.hostile_rows import CANARY, CHUNKED, POISON, Line, get, post
from tests.support.hostile_upstream import OK, Connection, nothing
from tests.support.hostile_world import World
from tests.support.strict_http import Message

SMUGGLED = {
    "a length": post(b"Content-Length: %d\r\n" % len(POISON)),
    "chunks": post(CHUNKED, b"%x\r\n" % len(POISON)),
}


def answer_at_once(connection: Connection, message: Message) -> None:
    """Answer at the head, whatever may follow."""
    connection.send(OK)


def read_on(world: World) -> None:
    """Let the upstream notice that its connections are gone: one that does not read does not."""
    for connection in world.recorder.connections:
        connection.transport.resume_reading()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SMUGGLED)
def test_an_early_answer_does_not_give_its_connection_to_another_request(world: World, name: str) -> None:
    """What follows of the body on that connection would be read as a request; the client's own goes on behind it."""

    async def main() -> None:
        world.recorder.begin()
        world.recorder.on_head, world.recorder.on_request = answer_at_once, nothing
        line = await Line.connect(world.port)
        line.send(SMUGGLED[name])
        assert (await line.answer()).body == b"ok"
        line.send(POISON + (b"\r\n0\r\n\r\n" if name == "chunks" else b"") + CANARY)
        assert (await line.answer()).body == b"ok"
        assert line.raw[line.position :] == b""
        line.close()
        await world.settled()
        assert [message.start[1] for message in world.recorder.seen] == [b"/canary"]
        assert len([found for found in world.recorder.connections if found.raw]) == 2

    world.run(main())


@pytest.mark.parametrize("rest", [400_000, 0])
def test_an_early_answer_and_a_body_that_goes_on(world: World, rest: int) -> None:
    """Too much to drop, or nothing more: the client has its answer, and the connection is closed."""

    async def main() -> None:
        world.recorder.begin()
        world.recorder.on_head, world.recorder.on_request = answer_at_once, nothing
        line = await Line.connect(world.port)
        line.send(post(b"Content-Length: 10000000\r\n", b"x" * 1000))
        assert (await line.answer()).body == b"ok"
        line.send(b"x" * rest)
        if rest:
            assert await line.over() == b""
        line.close()
        await world.settled()

    world.run(main())


def test_an_upstream_that_never_reads_the_body(world: World) -> None:
    """The client is slowed down, our memory is bounded, and nothing is left when it gives up."""

    async def main() -> None:
        world.recorder.begin()
        world.recorder.on_head = lambda connection, message: connection.transport.pause_reading()  # type: ignore[attr-defined]
        line = await Line.connect(world.port)
        line.send(post(b"Content-Length: 1000000000\r\n"))
        sent, still = 0, 0
        while still < 20:
            still += 1
            while line.transport.get_write_buffer_size() < 1 << 20:
                line.send(b"x" * 65536)
                sent, still = sent + 65536, 0
            await asyncio.sleep(0.005)
            for connection in world.pool._open:
                assert connection.transport.get_write_buffer_size() < 1 << 20
        assert sent < 100_000_000
        line.reset()
        read_on(world)
        await world.settled()

    world.run(main())


def test_an_answer_in_the_middle_of_an_upload_that_is_not_read(world: World) -> None:
    async def main() -> None:
        def answer_and_stop(connection: Connection, message: Message) -> None:
            connection.transport.pause_reading()  # type: ignore[attr-defined]
            connection.send(OK)

        world.recorder.begin()
        world.recorder.on_head = answer_and_stop
        line = await Line.connect(world.port)
        line.send(post(b"Content-Length: 5000000\r\n", b"x" * 2_000_000))
        assert (await line.answer()).body == b"ok"
        line.close()
        read_on(world)
        await world.settled()
        line = await Line.connect(world.port)
        world.recorder.begin()
        line.send(get())
        assert (await line.answer()).status == 200
        line.close()
        await world.settled()

    world.run(main())
