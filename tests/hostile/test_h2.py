"""Every row of hostile HTTP/2 at gateway, activator and queueproxy; queueproxy passes what it takes on by HTTP/1.1."""

from __future__ import annotations

import pytest

from tests.hostile import rows_h2
from tests.support import h2_raw as h2
from tests.support.h2_raw import GET, POST, RawClient, data, frame, headers
from tests.support.hostile_rows import Seen, by_bytes, check_seen, trickle
from tests.support.hostile_world import World

WAYS = ("whole", "byte by byte")


async def send(client: RawClient, sent: bytes, way: str) -> None:
    if way == "whole":
        client.send(sent)
    else:
        await trickle(client.line, by_bytes(sent))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_h2.HEADS)
def test_one_request(world: World, name: str, way: str) -> None:
    row = rows_h2.HEADS[name]

    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            await send(client, row.sent, way)
            answer = await client.answer(1)
            assert (answer.status, answer.reason) == (row.status, row.reason)
            if row.code is not None:
                assert answer.reset == row.code
            client.send(headers(3, [*GET[:3], (b":path", b"/canary")]))
            assert ((await client.answer(3)).status, client.goaway) == (200, None)
        finally:
            client.close()
        await world.settled()
        check_seen(world, row.seen, is_cut=True)

    world.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_was_announced_as_none(world: World, way: str) -> None:
    """The app may have answered before the body comes; whatever it saw, it saw no byte of the body."""

    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            fields = [*POST, (b"content-length", b"0")]
            await send(client, headers(1, fields, end=False) + data(1, rows_h2.SMUGGLED), way)
            answer = await client.answer(1)
            assert answer.status in (0, 200)
            await client.pong()
        finally:
            client.close()
        await world.settled()
        world.recorder.check(is_cut=True)
        assert [(message.start, message.body) for message in world.recorder.seen] in ([], [((b"POST", b"/"), b"")])

    world.run(main())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_h2.CONNECTIONS)
def test_the_connection_ends(world: World, name: str, way: str) -> None:
    sent, code = rows_h2.CONNECTIONS[name]

    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            await send(client, sent, way)
            assert await client.closed() == code
        finally:
            client.close()
        await world.settled()

    world.run(main())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_h2.FIRST)
def test_the_connection_begins_wrongly(world: World, name: str, way: str) -> None:
    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port, b"")
        try:
            await send(client, rows_h2.FIRST[name], way)
            assert await client.closed() in (h2.PROTOCOL_ERROR, h2.FRAME_SIZE_ERROR)
        finally:
            client.close()
        await world.settled()
        check_seen(world, ())

    world.run(main())


@pytest.mark.parametrize("name", rows_h2.FLOODS)
def test_floods(world: World, name: str) -> None:
    sent, kind = rows_h2.FLOODS[name]
    if name == "streams beyond the limit" and world.director == "queueproxy":
        pytest.skip("one slot and ten places: the others are answered 503 at once, so that few are open")

    async def main() -> None:
        world.recorder.begin()
        before = world.server.counters.floods.get(kind, 0)
        client = await RawClient.connect(world.port)
        try:
            client.send(sent)
            assert await client.closed() == h2.ENHANCE_YOUR_CALM
        finally:
            client.close()
        assert world.server.counters.floods[kind] == before + 1
        await world.settled()
        check_seen(world, (), is_cut=True)

    world.run(main())


def test_more_than_the_windows_allow(world: World) -> None:
    """A body that goes on while its window is shut ends its stream, not the connection.

    It is shut while nobody takes the body: another stream has the one slot that there is.
    """

    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            client.send(headers(1, POST, end=False))
            client.send(headers(3, POST, end=False) + data(3, b"x" * 16_000, end=False) * 20)
            assert (await client.answer(3)).reset == h2.FLOW_CONTROL_ERROR
            await client.pong()
            client.send(data(1, b"ab"))
            assert (await client.answer(1)).status == 200
        finally:
            client.close()
        await world.settled()

    world.run(main())


def test_a_stream_that_is_used_again(world: World) -> None:
    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            client.send(headers(1, GET))
            assert (await client.answer(1)).status == 200
            client.send(headers(1, GET))
            assert await client.closed() == h2.STREAM_CLOSED
        finally:
            client.close()
        await world.settled()
        check_seen(world, (Seen(),))

    world.run(main())


def test_data_behind_the_end_of_a_stream(world: World) -> None:
    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            client.send(headers(1, POST, end=False) + data(1, b"ab") + data(1, b"cd"))
            answer = await client.answer(1)
            assert answer.reset in (None, h2.STREAM_CLOSED)
            await client.pong()
        finally:
            client.close()
        await world.settled()
        world.recorder.check(is_cut=True)
        assert {message.body for message in world.recorder.seen} <= {b"ab"}

    world.run(main())


def test_pings_that_nobody_reads_do_not_fill_our_memory(world: World) -> None:
    async def main() -> None:
        world.recorder.begin()
        client = await RawClient.connect(world.port)
        try:
            client.line.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(100):
                client.send(frame(h2.PING, 0, 0, b"12345678") * 1000)
            client.line.transport.resume_reading()  # type: ignore[attr-defined]
            assert await client.closed() == h2.ENHANCE_YOUR_CALM
        finally:
            client.close()
        await world.settled()

    world.run(main())
