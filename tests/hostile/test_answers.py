"""Every row of hostile answers at gateway, activator and queueproxy, whole and byte by byte: what the client gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.hostile import rows_answers
from tests.support import strict_http
from tests.support.hostile_rows import CANARY, Line, by_bytes, get
from tests.support.hostile_upstream import Connection, answer_ok
from tests.support.hostile_world import PATIENCE_S, World
from tests.support.strict_http import Message

End = Callable[[Connection], None]
ENDS: dict[str, End] = {"closes": Connection.close, "resets": Connection.reset}
WAYS = ("whole", "byte by byte")


def stays(connection: Connection) -> None:
    """Leave the connection open."""


def says(world: World, answer: bytes, way: str = "whole", then: End = stays) -> None:
    """Let the upstream answer the next requests like this, however often they are sent, but for the canary."""

    def speak(connection: Connection, message: Message) -> None:
        if message.start[1] == b"/canary":
            answer_ok(connection, message)
        elif way == "whole":
            connection.send(answer)
            then(connection)
        else:
            pieces = iter(by_bytes(answer))
            asyncio.get_running_loop().call_soon(drip, connection, pieces)

    def drip(connection: Connection, pieces: object) -> None:
        piece = next(pieces, None)  # type: ignore[call-overload]
        if piece is None or connection.transport.is_closing():
            then(connection)
        else:
            connection.send(piece)
            asyncio.get_running_loop().call_soon(drip, connection, pieces)

    world.recorder.begin()
    world.recorder.on_request = speak


async def canary(line: Line) -> None:
    """The client's connection is good, and gets the answer to what it asks."""
    line.send(CANARY)
    answer = await line.answer()
    assert (answer.status, answer.body) == (200, b"ok")


async def done(world: World, line: Line) -> None:
    line.close()
    await world.settled()
    assert b"forged" not in line.raw
    assert world.recorder.seen
    world.recorder.check()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_answers.REFUSED)
def test_refused(world: World, name: str, way: str) -> None:
    async def main() -> None:
        says(world, rows_answers.REFUSED[name], way, Connection.close)
        line = await Line.connect(world.port)
        line.send(get())
        answer = await line.answer()
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        assert len(world.recorder.seen) == 1
        await canary(line)
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_no_answer(world: World, end: str, method: bytes) -> None:
    """A GET on a connection that was used before is sent again; what may have had an effect is not."""

    async def main() -> None:
        says(world, b"", then=ENDS[end])
        line = await Line.connect(world.port)
        await canary(line)
        line.send(get(b"Content-Length: 0\r\n", method=method))
        answer = await line.answer()
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        assert len(world.recorder.seen) - 1 <= (2 if method == b"GET" else 1)
        await canary(line)
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_answers.CUT)
def test_cut(world: World, name: str, way: str, end: str) -> None:
    """The client can tell: the connection ends within the body."""

    async def main() -> None:
        says(world, rows_answers.CUT[name], way, ENDS[end])
        line = await Line.connect(world.port)
        line.send(get())
        raw = await line.over()
        if raw or end == "closes":
            # A reset may overtake the whole answer, also its head.
            assert raw.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502 ")), raw
        if raw.startswith(b"HTTP/1.1 200"):
            assert strict_http.answer_of(raw) is None
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_answers.BEHIND)
def test_behind(world: World, name: str, way: str) -> None:
    """A connection that speaks out of turn is used once."""
    said, status, body = rows_answers.BEHIND[name]

    async def main() -> None:
        says(world, said, way)
        line = await Line.connect(world.port)
        for _ in range(2):
            line.send(get())
            answer = await line.answer()
            assert (answer.status, answer.body) == (status, body)
        if way == "whole":
            assert [len(connection.seen) for connection in world.recorder.connections if connection.seen] == [1, 1]
        strict_http.readings_of_answers(line.raw, [b"GET", b"GET"])
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", rows_answers.PASSED)
def test_passed(world: World, name: str, way: str) -> None:
    said, status, body = rows_answers.PASSED[name]

    async def main() -> None:
        says(world, said, way)
        line = await Line.connect(world.port)
        line.send(get())
        answer = await line.answer()
        assert (answer.status, answer.body) == (status, body)
        assert b"set-cookie" not in dict(answer.trailers)
        await canary(line)
        readings = strict_http.readings_of_answers(line.raw, [b"GET", b"GET"])
        assert all(reading == readings["strict"] for reading in readings.values()), readings
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", rows_answers.UNTIL_CLOSE)
def test_until_close(world: World, name: str, end: str, version: str) -> None:
    """A body that ends with the connection is whole when the connection is closed, and cut when it is reset."""

    async def main() -> None:
        says(world, rows_answers.UNTIL_CLOSE[name], "byte by byte", ENDS[end])
        line = await Line.connect(world.port)
        line.send(get(version=b"HTTP/" + version.encode()))
        if version == "1.0":
            raw = await line.over()
            assert (line.was_reset, raw.endswith(b"\r\n\r\nhello")) == (
                (False, True) if end == "closes" else (True, False)
            ) or raw
            assert line.was_reset == (end == "resets")
        elif end == "closes":
            assert (await line.answer()).body == b"hello"
            await canary(line)
        else:
            raw = await line.over()
            assert strict_http.answer_of(raw) is None
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("said", [b"", b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_to_head_has_no_body(world: World, said: bytes) -> None:
    async def main() -> None:
        says(world, b"HTTP/1.1 200 OK\r\n" + said + b"\r\nforged")
        line = await Line.connect(world.port)
        line.send(get(method=b"HEAD"))
        assert (await line.answer(b"HEAD")).status == 200
        await canary(line)
        await done(world, line)

    world.run(main())


def test_an_answer_that_nobody_asked_for_ends_an_idle_connection(world: World) -> None:
    """Response-queue poisoning: the forged answer must not meet the next request."""

    async def main() -> None:
        says(world, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        line = await Line.connect(world.port)
        for _ in range(5):
            line.send(get())
            assert (await line.answer()).body == b"ok"
            idle = world.recorder.connections[-1]
            idle.send(rows_answers.FORGED)
            async with asyncio.timeout(PATIENCE_S):
                while idle.is_open:
                    await asyncio.sleep(0)
        await canary(line)
        await done(world, line)

    world.run(main())


@pytest.mark.parametrize("answered", [b"", b"Upgrade: h2c\r\n", b"Upgrade: HTTP/2.0\r\n", b"Upgrade: a b\r\n"])
def test_a_switch_to_what_may_not_be_tunnelled(world: World, answered: bytes) -> None:
    async def main() -> None:
        says(world, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + answered + b"\r\nforged")
        line = await Line.connect(world.port)
        line.send(get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        answer = await line.answer()
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        await canary(line)
        await done(world, line)

    world.run(main())


def test_no_length_under_204(world: World) -> None:
    """RFC 9110 section 8.6; a client that believed it would take the next answer for a body."""

    async def main() -> None:
        says(world, b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\nX: y\r\n\r\n")
        line = await Line.connect(world.port)
        for _ in range(2):
            line.send(get())
            answer = await line.answer()
            assert (answer.header(b"content-length"), answer.header(b"x")) == (None, b"y")
        await canary(line)
        await done(world, line)

    world.run(main())
