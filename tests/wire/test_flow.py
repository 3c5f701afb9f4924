"""Back-pressure, large bodies, tunnels and draining, on real sockets."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.support.wire import OK, PATIENCE_S, Peer, answering, rig, turns_until
from tidegate.wire.director import Answer, Failure, Relay, Timeouts
from tidegate.wire.limits import Limits, ServerTimers

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX-Key: k\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Accept: k\r\n\r\n"
MEGABYTE = 1 << 20
SMALL = Limits(body_high_bytes=65536, body_low_bytes=16384)


async def _write_all(peer: Peer, piece: bytes, count: int, written: list[int]) -> None:
    for _ in range(count):
        peer.send(piece)
        await peer.writer.drain()
        written[0] += len(piece)


async def _settled(written: list[int]) -> int:
    """Wait until a writer makes no more progress; return how far it came."""
    before = -1
    while written[0] != before or written[0] == 0:
        before = written[0]
        await asyncio.sleep(0.02)
    return before


@pytest.mark.parametrize("framing", [b"Content-Length: 52428800\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_slow_reader_pauses_the_upstream(framing: bytes) -> None:
    written = [0]
    piece = b"x" * MEGABYTE if b"Length" in framing else b"%x\r\n%b\r\n" % (MEGABYTE, b"x" * MEGABYTE)

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.writer.transport.set_write_buffer_limits(high=65536)
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        await _write_all(peer, piece, 50, written)
        if b"chunked" in framing:
            peer.send(b"0\r\n\r\n")
        await peer.rest()

    async with rig(handler, limits=SMALL) as engine:
        client = Peer(*await asyncio.open_connection("127.0.0.1", engine.server.port, limit=65536))
        engine.clients.append(client)
        client.send(GET)
        await client.head()
        # What left the upstream sits in four kernel buffers; of ours, only the watermark.
        assert await _settled(written) < 25 * MEGABYTE
        connection = next(iter(engine.server._connections))
        assert connection.transport.get_write_buffer_size() < 65536 + 2 * 262144
        total = 0
        while b"chunked" not in framing and total < 50 * MEGABYTE:
            total += len(await client.reader.read(MEGABYTE))
        if b"chunked" in framing:
            end = b""
            while not end.endswith(b"0\r\n\r\n"):
                end = (end + await client.reader.read(MEGABYTE))[-5:]
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is None
        assert engine.pool.idle_count == 1


async def test_a_slow_upstream_pauses_the_client() -> None:
    go_on = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.reader._limit = 65536  # type: ignore[attr-defined]
        await go_on.wait()
        left = 50 * MEGABYTE
        while left:
            left -= len(await peer.reader.read(MEGABYTE))
        peer.send(OK)
        await peer.rest()

    async with rig(handler, limits=SMALL) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 52428800\r\n\r\n")
        written = [0]
        writer = asyncio.create_task(_write_all(client, b"x" * MEGABYTE, 50, written))
        assert await _settled(written) < 45 * MEGABYTE
        assert engine.server.counters.bytes_in < 45 * MEGABYTE
        go_on.set()
        assert (await client.answer()).status == 200
        await writer


async def test_pipelined_answers_respect_a_slow_reader() -> None:
    body = b"x" * 200_000
    async with rig(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + body), limits=SMALL) as engine:
        client = Peer(*await asyncio.open_connection("127.0.0.1", engine.server.port, limit=65536))
        engine.clients.append(client)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET * 200)
        await turns_until(lambda: engine.server.counters.requests > 2)
        await asyncio.sleep(0.05)
        connection = next(iter(engine.server._connections))
        assert connection.transport.get_write_buffer_size() < 3_000_000
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            assert len((await client.answer()).body) == 200_000


async def test_upgrade_becomes_a_tunnel() -> None:
    heads: list[bytes] = []

    async def handler(peer: Peer) -> None:
        heads.append(await peer.head())
        peer.send(SWITCH + b"hello")
        while data := await peer.reader.read(1000):
            peer.send(data.upper())
        peer.send(b"bye")

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(UPGRADE + b"early ")
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        assert b"X-Accept: k\r\n" in head
        assert await client.exactly(11) == b"helloEARLY "
        client.send(b"later\r\n\r\n")
        assert await client.exactly(9) == b"LATER\r\n\r\n"
        assert engine.server.in_flight == 1
        client.writer.write_eof()  # half-closed: the other direction stays open
        assert await client.rest() == b"bye"
        await engine.director.all_finished()
        outcome = engine.director.outcomes[0]
        assert (outcome.status, outcome.failure) == (101, None)
        assert heads[0].endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert engine.director.requests[0].is_upgrade


async def test_refused_upgrade_is_an_ordinary_answer() -> None:
    async with rig() as engine:
        client = await engine.client()
        client.send(UPGRADE + GET)
        assert (await client.answer()).body == b"ok"
        assert (await client.answer()).body == b"ok"


async def test_upgrade_request_with_a_body_is_relayed_without_upgrade() -> None:
    async def handler(peer: Peer) -> None:
        head = await peer.head()
        assert b"Upgrade" not in head
        assert await peer.exactly(4) == b"body"
        peer.send(OK)
        await peer.rest()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(UPGRADE.replace(b"X-Key: k", b"Content-Length: 4") + b"body")
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize("by", ["client", "upstream"])
async def test_a_broken_tunnel_closes_the_other_side(by: str) -> None:
    closed = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(SWITCH)
        await peer.exactly(1)
        if by == "upstream":
            peer.reset()
        else:
            await peer.gone()
        closed.set()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(UPGRADE)
        await client.head()
        client.send(b"x")
        if by == "client":
            await turns_until(lambda: engine.server.counters.tunnels == 1)
            client.reset()
        else:
            await client.gone()
        await asyncio.wait_for(closed.wait(), PATIENCE_S)


@pytest.mark.parametrize(
    ("timeouts", "silent_s", "failure"),
    [
        (Timeouts(), 91, Failure.TIMEOUT_IDLE),
        (Timeouts(idle_s=60), 61, Failure.TIMEOUT_IDLE),
        (Timeouts(total_s=60), 61, Failure.TIMEOUT_TOTAL),
    ],
)
async def test_a_silent_tunnel_is_closed(timeouts: Timeouts, silent_s: float, failure: Failure) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(SWITCH)
        await peer.gone()

    async with rig(handler, relay={"timeouts": timeouts}, timers=ServerTimers(tunnel_idle_s=90)) as engine:
        client = await engine.client()
        client.send(UPGRADE)
        await client.head()
        engine.pass_time(silent_s)
        assert await client.rest() == b""
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is failure


async def test_tunnel_back_pressure() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(SWITCH)
        await peer.exactly(2)
        peer.reader._limit = 65536  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with rig(handler, limits=SMALL) as engine:
        client = await engine.client()
        client.send(UPGRADE)
        await client.head()
        written = [0]
        writer = asyncio.create_task(_write_all(client, b"x" * MEGABYTE, 50, written))
        assert await _settled(written) < 45 * MEGABYTE
        writer.cancel()
        client.reset()


async def test_drain_lets_requests_end_and_says_close() -> None:
    release = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        await release.wait()
        peer.send(OK)
        await peer.rest()

    async with rig(handler) as engine:
        busy, idle = await engine.client(), await engine.client()
        busy.send(GET)
        await turns_until(lambda: engine.server.in_flight == 1 and engine.server.counters.connections_open == 2)
        draining = asyncio.create_task(engine.server.drain(PATIENCE_S))
        assert await idle.rest() == b""
        with pytest.raises(OSError):
            await engine.client()
        release.set()
        answer = await busy.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await draining is True


async def test_drain_answers_a_request_that_has_arrived_and_is_not_read_yet() -> None:
    async with rig(answering(OK)) as engine:
        client = await engine.client()
        client.send(GET)
        assert (await client.answer()).status == 200
        await turns_until(lambda: engine.server.in_flight == 0)
        # Past the loop: it is in the kernel when the drain begins, as after a server that stood still for a moment.
        os.write(client.writer.get_extra_info("socket").fileno(), GET)
        draining = asyncio.create_task(engine.server.drain(PATIENCE_S))
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
        assert await draining is True


@pytest.mark.parametrize("state", ["held", "relayed", "answering"])
async def test_drain_deadline_ends_what_is_left(state: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        if state == "answering":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.gone()

    async def held() -> Relay:
        await asyncio.Event().wait()
        raise AssertionError

    async with rig(handler, direct=(lambda request, port: held()) if state == "held" else None) as engine:
        client = await engine.client()
        client.send(GET)
        await turns_until(lambda: engine.server.in_flight == 1)
        if state == "answering":
            await client.until(b"half")
        assert await engine.server.drain(0.05) is False
        assert engine.director.outcomes[0].failure is Failure.DRAINED
        if state != "answering":
            answer = await client.answer()
            assert (answer.status, answer.reason) == (503, "draining")
        assert await client.rest() == b""


async def test_drain_tells_when_only_tunnels_are_left() -> None:
    release, told = asyncio.Event(), asyncio.Event()

    async def handler(peer: Peer) -> None:
        if b"Upgrade" in await peer.head():
            peer.send(SWITCH + b"open")
        else:
            await release.wait()
            peer.send(OK)
        await peer.rest()

    async with rig(handler) as engine:
        busy, tunnel = await engine.client(), await engine.client()
        busy.send(GET)
        tunnel.send(UPGRADE)
        await tunnel.until(b"open")
        await turns_until(lambda: engine.server.in_flight == 2 and engine.server.open_tunnels == 1)
        draining = asyncio.create_task(engine.server.drain(PATIENCE_S, told.set))
        await turns_until(lambda: engine.server.is_draining)
        assert not told.is_set()
        release.set()
        assert (await busy.answer()).status == 200
        await asyncio.wait_for(told.wait(), PATIENCE_S)
        assert not draining.done()
        tunnel.writer.close()
        assert await draining is True


async def test_drain_tells_before_it_cuts_what_is_left() -> None:
    told: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.gone()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(GET)
        await turns_until(lambda: engine.server.in_flight == 1)
        assert await engine.server.drain(0.05, lambda: told.append(engine.server.in_flight)) is False
        assert told == [1]


async def test_drain_waits_for_unread_answers() -> None:
    body = b"x" * 6_000_000

    timers = ServerTimers(linger_s=PATIENCE_S)
    async with rig(direct=lambda request, port: Answer(200, "", body), timers=timers) as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.head()
        draining = asyncio.create_task(engine.server.drain(PATIENCE_S))
        assert await client.rest() == body
        assert await draining is True


async def test_connect_timeout_is_a_connect_failure() -> None:
    # A listener whose backlog is full takes no more connections: connecting hangs, as to a host that drops packets.
    import socket

    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    port = listener.getsockname()[1]
    try:
        async with rig(direct=lambda request, _: Relay("127.0.0.1", port, timeouts=Timeouts(connect_s=0.05))) as engine:
            client = await engine.client()
            client.send(GET)
            assert (await client.answer()).status == 503
            assert engine.director.retries == [Failure.CONNECT]
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


async def test_client_leaving_while_connecting() -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    port = listener.getsockname()[1]
    try:
        async with rig(direct=lambda request, _: Relay("127.0.0.1", port)) as engine:
            client = await engine.client()
            client.send(GET)
            await turns_until(lambda: engine.server.in_flight == 1)
            client.close()
            await engine.director.all_finished()
            assert engine.director.outcomes[0].failure is Failure.CLIENT_GONE
            assert engine.director.retries == []
    finally:
        for filler in fillers:
            filler.close()
        listener.close()
