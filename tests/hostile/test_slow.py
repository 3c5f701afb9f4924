"""Slow clients: in the head, in the body, in chunk framing, in reading the answer. Each has its time, and then no slot.

Time does not pass by itself here: rows let it pass for the engine, in steps between which all that can happen does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import h2_raw as h2
from tests.support.h2_raw import PREFACE, RawClient
from tests.support.hostile_rows import CHUNKED, Line, get, post
from tests.support.hostile_upstream import Connection
from tests.support.hostile_world import PATIENCE_S, STEP_S, World
from tests.support.strict_http import Message
from tidegate.wire.limits import ServerTimers

TIMERS = ServerTimers(head_timeout_s=24.0, body_stalled_s=24.0, keep_alive_s=48.0, linger_s=20.0, stalled_s=60.0)
STEPS_LIMIT = 100


@pytest.fixture
def slow(world: World) -> Iterator[World]:
    """The world with timers of several steps, all far below the time that a request may take."""
    kept, world.server.timers = world.server.timers, TIMERS
    world.recorder.begin()
    yield world
    world.server.timers = kept


@pytest.fixture
def slow_queueproxy(slow: World) -> World:
    """Where the upstream speaks HTTP/1.1 to a client of HTTP/2; the bounds of the others are the same code."""
    if slow.director != "queueproxy":
        pytest.skip("the upstream of this director speaks HTTP/2")
    return slow


async def drip(world: World, line: Line, data: bytes = b"") -> None:
    """Send a byte at each step, then nothing, until the other side has had enough."""
    for step in range(STEPS_LIMIT):
        if line.is_over or b"HTTP/1.1 408 " in line.raw:
            return
        if step < len(data):
            line.send(data[step : step + 1])
        await world.passes(STEP_S)


async def refused(line: Line, status: int, reason: str) -> None:
    answer = await line.answer()
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.header(b"connection") == b"close"
    assert await line.over() == b""
    line.close()


HEADS: dict[str, bytes] = {
    "a request line": b"GET /" + b"x" * 100,
    "a header": get()[:-2] + b"X: " + b"y" * 100,
    "blank lines": b"\r\n" * 100,
    "nothing but a letter": b"G",
    "the preface of HTTP/2": PREFACE[:20],
}


@pytest.mark.parametrize("name", HEADS)
def test_a_slow_head(slow: World, name: str) -> None:
    async def main() -> None:
        line = await Line.connect(slow.port)
        await drip(slow, line, HEADS[name])
        await refused(line, 408, "head_timeout")
        await slow.settled()
        assert slow.recorder.seen == []

    slow.run(main())


def test_a_slow_head_behind_a_request(slow: World) -> None:
    async def main() -> None:
        line = await Line.connect(slow.port)
        line.send(get() + b"GET /x HT")
        assert (await line.answer()).status == 200
        await drip(slow, line)
        await refused(line, 408, "head_timeout")
        await slow.settled()

    slow.run(main())


def test_a_connection_that_says_nothing(slow: World) -> None:
    async def main() -> None:
        fresh, used = await Line.connect(slow.port), await Line.connect(slow.port)
        used.send(get())
        assert (await used.answer()).status == 200
        await slow.passes(TIMERS.keep_alive_s - 2 * STEP_S)
        assert not (fresh.is_over or used.is_over)
        await slow.passes(4 * STEP_S)
        assert (await fresh.over(), await used.over()) == (b"", b"")
        fresh.close()
        used.close()
        await slow.settled()

    slow.run(main())


BODIES: dict[str, tuple[bytes, bytes]] = {
    "nothing of a length": (post(b"Content-Length: 10\r\n"), b""),
    "half of a length": (post(b"Content-Length: 10\r\n", b"hello"), b""),
    "nothing of chunks": (post(CHUNKED), b""),
    "half a chunk": (post(CHUNKED, b"5\r\nhel"), b""),
    "a chunk and no other": (post(CHUNKED, b"5\r\nhello\r\n"), b""),
    "the size of a chunk, slowly": (post(CHUNKED), b"0" * 15 + b"5\r\n"),
    "the extension of a chunk, slowly": (post(CHUNKED, b"5;"), b"x" * 50),
    "the end of a chunk, never": (post(CHUNKED, b"5\r\nhello\r"), b""),
    "trailers, slowly": (post(CHUNKED, b"5\r\nhello\r\n0\r\nX: "), b"y" * 50),
    "the last line, never": (post(CHUNKED, b"5\r\nhello\r\n0\r\n\r"), b""),
    "after 100": (post(b"Expect: 100-continue\r\nContent-Length: 10\r\n"), b""),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_slow_body(slow: World, name: str) -> None:
    """408, and the upstream's connection is closed: it never sees a whole request."""

    async def main() -> None:
        first, rest = BODIES[name]
        line = await Line.connect(slow.port)
        line.send(first)
        await drip(slow, line, rest)
        await refused(line, 408, "body_timeout")
        await slow.settled()
        slow.recorder.check(is_cut=True)
        assert slow.recorder.seen == []

    slow.run(main())


def test_a_body_that_comes_steadily_has_all_the_time_it_needs(slow: World) -> None:
    async def main() -> None:
        line = await Line.connect(slow.port)
        line.send(post(b"Content-Length: 20\r\n"))
        for _ in range(20):
            await slow.passes(TIMERS.body_stalled_s / 3)
            line.send(b"x")
        assert (await line.answer()).status == 200
        line.close()
        await slow.settled()

    slow.run(main())


def test_a_body_that_stands_still_while_the_answer_comes_is_left_in_peace(slow: World) -> None:
    """Full duplex: who has begun to answer knows what it waits for."""

    def answer_early(connection: Connection, message: Message) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")

    async def main() -> None:
        slow.recorder.on_head = answer_early
        line = await Line.connect(slow.port)
        line.send(post(b"Content-Length: 10\r\n", b"hello"))
        await slow.passes(3 * TIMERS.body_stalled_s)
        assert line.raw.endswith(b"hello") and not line.is_over
        slow.recorder.connections[-1].send(b"world")
        assert (await line.answer()).body == b"helloworld"
        line.close()
        await slow.settled()

    slow.run(main())


def test_a_client_that_waits_for_100_is_not_slow(slow: World) -> None:
    async def main() -> None:
        slow.recorder.on_head = lambda connection, message: None
        line = await Line.connect(slow.port)
        line.send(post(b"Expect: 100-continue\r\nContent-Length: 2\r\n"))
        await slow.passes(3 * TIMERS.body_stalled_s)
        assert line.raw == b""
        line.send(b"ab")
        assert (await line.answer()).status == 200
        line.close()
        await slow.settled()

    slow.run(main())


BLOCK = b"x" * 65536
READ_BYTES = 256 * 1024


async def endless(world: World, connection: Connection) -> AsyncIterator[int]:
    """Send as fast as the connection takes it, and let time pass when it takes no more; gives how much that was."""
    sent = 0
    while connection.is_open:
        if connection.transport.get_write_buffer_size() < 4 * len(BLOCK):
            connection.send(BLOCK)
            sent += len(BLOCK)
        else:
            await world.passes(STEP_S)
        yield sent


FRAMINGS = {"a length": b"Content-Length: 10000000000\r\n\r\n", "until the end": b"\r\n"}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_client_that_never_reads_its_answer(slow: World, framing: str) -> None:
    """The upstream is slowed down, our memory is bounded, and after its time the client is cut off."""

    async def main() -> None:
        before = slow.server.counters.clients_stalled
        line = await Line.connect(slow.port)
        line.transport.pause_reading()  # type: ignore[attr-defined]
        slow.recorder.on_request = lambda connection, message: connection.send(
            b"HTTP/1.1 200 OK\r\n" + FRAMINGS[framing]
        )
        line.send(get())
        while not slow.recorder.seen:
            await asyncio.sleep(0.001)
        sent = 0
        async for sent in endless(slow, next(found for found in slow.recorder.connections if found.seen)):
            assert sent < 50_000_000
            for connection in slow.server._connections:
                # At most what does not pause the upstream yet, and what one read of asyncio brings on top.
                assert connection.transport.get_write_buffer_size() <= slow.server.limits.body_high_bytes + READ_BYTES
        assert sent > 0
        line.close()
        await slow.settled()
        assert slow.server.counters.clients_stalled == before + 1

    slow.run(main())


def test_a_client_that_reads_slowly_gets_all(slow: World) -> None:
    size = 8_000_000

    async def main() -> None:
        line = await Line.connect(slow.port)
        transport = line.transport
        slow.recorder.on_request = lambda connection, message: connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        )
        line.send(get())
        transport.pause_reading()  # type: ignore[attr-defined]
        passed_s = 0.0
        while (before := len(line.raw)) < size:
            if passed_s < 3 * TIMERS.stalled_s:  # a request has not much more time
                await slow.passes(TIMERS.stalled_s / 3)
                passed_s += TIMERS.stalled_s / 3
            transport.resume_reading()  # type: ignore[attr-defined]
            while len(line.raw) == before:
                assert not line.is_over
                await asyncio.sleep(0)
            transport.pause_reading()  # type: ignore[attr-defined]
        transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await line.answer()).body) == size
        line.close()
        await slow.settled()

    slow.run(main())


def test_a_pipeline_whose_answers_nobody_reads(slow: World) -> None:
    """The next request is taken only while the earlier answers are."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000

    async def main() -> None:
        slow.recorder.on_request = lambda connection, message: connection.send(large)
        line = await Line.connect(slow.port)
        line.transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while sent < 100_000_000 and not line.transport.is_closing() and slow.server.counters.connections_open:
            if line.transport.get_write_buffer_size() < 1 << 20:
                line.send(get() * 1000)
                sent += 1000 * len(get())
                await asyncio.sleep(0)
            else:
                await slow.passes(STEP_S)
            for connection in slow.server._connections:
                assert connection.transport.get_write_buffer_size() < 1 << 20
                assert len(connection._backlog) < 1 << 20  # type: ignore[union-attr]
        assert sent < 100_000_000
        assert len(slow.recorder.seen) < 1000
        line.reset()
        await slow.settled()

    slow.run(main())


def test_a_pipeline_of_own_answers_that_nobody_reads(slow: World) -> None:
    """Answers that need no upstream are made at once, so that nothing else slows their maker down."""
    probe = b"GET / HTTP/1.1\r\nHost: nowhere\r\nUser-Agent: kube-probe/1\r\nK-Network-Probe: x\r\n\r\n"

    async def main() -> None:
        line = await Line.connect(slow.port)
        line.transport.pause_reading()  # type: ignore[attr-defined]
        sent, largest = 0, 0
        while sent < 200_000_000 and not line.transport.is_closing() and slow.server.counters.connections_open:
            if line.transport.get_write_buffer_size() < 1 << 20:
                line.send(probe * 1000)
                sent += 1000 * len(probe)
                await asyncio.sleep(0)
            else:
                await slow.passes(STEP_S)
            for connection in slow.server._connections:
                largest = max(largest, connection.transport.get_write_buffer_size())
        assert sent < 200_000_000
        assert 0 < largest < 3_000_000
        line.reset()
        await slow.settled()

    slow.run(main())


# --- HTTP/2 ---


def post_h2(*fields: tuple[bytes, bytes]) -> bytes:
    return h2.headers(1, [*h2.POST, *fields], end=False)


@pytest.mark.parametrize("sent", [b"", h2.data(1, b"half", end=False)])
def test_a_slow_body_of_a_stream(slow: World, sent: bytes) -> None:
    async def main() -> None:
        client = await RawClient.connect(slow.port)
        client.send(post_h2() + sent)
        await slow.passes(TIMERS.body_stalled_s - 2 * STEP_S)
        assert not client.stream(1).status
        await slow.passes(4 * STEP_S)
        answer = await client.answer(1)
        assert (answer.status, answer.reason) == (408, "body_timeout")
        client.send(h2.headers(3, h2.GET))
        assert (await client.answer(3)).status == 200
        client.close()
        await slow.settled()

    slow.run(main())


def test_a_stream_of_grpc_may_stand_still(slow: World) -> None:
    async def main() -> None:
        client = await RawClient.connect(slow.port)
        client.send(post_h2((b"content-type", b"application/grpc")) + h2.data(1, b"half", end=False))
        await slow.passes(3 * TIMERS.body_stalled_s)
        await client.pong()
        assert client.streams.get(1, h2.StreamAnswer()) == h2.StreamAnswer()
        client.send(h2.data(1, b"whole"))
        assert (await client.answer(1)).status == 200
        client.close()
        await slow.settled()

    slow.run(main())


def test_an_idle_http2_connection_is_closed(slow: World) -> None:
    async def main() -> None:
        client = await RawClient.connect(slow.port)
        client.send(h2.headers(1, h2.GET))
        assert (await client.answer(1)).status == 200
        await slow.passes(TIMERS.keep_alive_s - 2 * STEP_S)
        await client.pong()
        await slow.passes(4 * STEP_S)
        assert await client.closed() == h2.NO_ERROR
        client.close()
        await slow.settled()

    slow.run(main())


@pytest.mark.parametrize("name", ["zero from the start", "zero later"])
def test_windows_that_never_open(slow_queueproxy: World, name: str) -> None:
    """An answer that its stream's window holds back is kept within bounds, and dropped after its time."""

    def answer(connection: Connection, message: Message) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1_000_000)

    async def main() -> None:
        slow_queueproxy.recorder.on_request = answer
        client = await RawClient.connect(
            slow_queueproxy.port, PREFACE + (h2.settings((4, 0)) if "start" in name else h2.settings())
        )
        client.send(h2.headers(1, h2.GET))
        await slow_queueproxy.passes(TIMERS.stalled_s + 2 * STEP_S)
        assert (await client.answer(1)).reset == h2.ENHANCE_YOUR_CALM
        assert len(client.stream(1).body) == (0 if "start" in name else 65535)
        await client.pong()
        client.close()
        await slow_queueproxy.settled()

    slow_queueproxy.run(main())


def test_a_client_of_http2_that_never_reads(slow_queueproxy: World) -> None:
    def answer(connection: Connection, message: Message) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 20_000_000)

    async def main() -> None:
        slow_queueproxy.recorder.on_request = answer
        client = await RawClient.connect(
            slow_queueproxy.port, PREFACE + h2.settings((4, 0x7FFFFFFF)) + h2.window(0, 0x7FFF0000 - 1)
        )
        await client.pong()
        client.line.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(h2.headers(1, h2.GET))
        async with asyncio.timeout(PATIENCE_S):
            while slow_queueproxy.server.counters.connections_open:
                await slow_queueproxy.passes(STEP_S)
                for connection in slow_queueproxy.server._connections:
                    assert connection.transport.get_write_buffer_size() < 2_000_000
        client.close()
        await slow_queueproxy.settled()

    slow_queueproxy.run(main())
