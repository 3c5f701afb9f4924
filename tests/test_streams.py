"""Answers and connections that go on for long, through all three hops: each piece passes at once, and nothing is cut
before the drain deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.support.hops import App, client
from tests.support.moved_clock import moved_clock
from tests.support.three_hops import HOST, Row, three_hops
from tests.support.wire import Peer, ScriptedUpstream

MODES = ("Serve", "Proxy")
HEAD = f"Host: {HOST}\r\n".encode()
PATIENCE_S = 30.0


@asynccontextmanager
async def scripted(script, mode: str) -> AsyncIterator[tuple[Peer, ScriptedUpstream]]:
    """A raw client before the three hops and a scripted app behind them."""
    app = ScriptedUpstream(script)
    await app.start()
    try:
        async with three_hops(app.port, mode=mode) as row:
            row.show_pod()
            peer = await Peer.connect(row.port)
            yield peer, app
            peer.close()
    finally:
        await app.stop()


@pytest.mark.parametrize("mode", MODES)
async def test_each_event_arrives_before_the_next_one_is_made(mode: str) -> None:
    async with App().running() as app, three_hops(app.port, mode=mode) as row, aiohttp.ClientSession() as session:
        row.show_pod()
        app.next_tick.set()
        async with session.get(f"http://127.0.0.1:{row.port}/ticks", headers={"Host": HOST}) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            for number in range(3):
                async with asyncio.timeout(PATIENCE_S):
                    assert await answer.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
                app.next_tick.set()


@pytest.mark.parametrize("mode", MODES)
async def test_a_long_poll_is_answered_when_the_app_answers(mode: str) -> None:
    news = asyncio.Event()

    async def poll(peer: Peer) -> None:
        await peer.head()
        await news.wait()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")
        await peer.flush()

    async with scripted(poll, mode) as (peer, app):
        peer.send(b"GET /poll HTTP/1.1\r\n" + HEAD + b"\r\n")
        asked = asyncio.ensure_future(peer.answer())
        while not app.peers:
            await asyncio.sleep(0.001)
        assert not asked.done()
        news.set()
        assert (await asked).body == b"news"


@pytest.mark.parametrize("mode", MODES)
async def test_request_and_answer_stream_at_the_same_time(mode: str) -> None:
    async def talk(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(await peer.until(b"\r\n"), 16):
            piece = await peer.exactly(size + 2)
            peer.send(b"%x\r\n%b" % (size, piece))
        peer.send(b"0\r\n\r\n")
        await peer.flush()

    async with scripted(talk, mode) as (peer, _):
        peer.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        assert b"200 OK" in await peer.head()  # the answer has begun before any of the body
        for number in range(10):
            peer.send(b"2\r\n%02d\r\n" % number)
            assert await peer.until(b"\r\n") == b"2\r\n"
            assert await peer.exactly(4) == b"%02d\r\n" % number
        peer.send(b"0\r\n\r\n")
        assert await peer.exactly(5) == b"0\r\n\r\n"


@asynccontextmanager
async def websocket(row: Row) -> AsyncIterator[ClientConnection]:
    url = f"ws://{HOST}:{row.port}/socket"
    async with connect(url, host="127.0.0.1", proxy=None, max_size=None, ping_interval=None) as talker:
        yield talker


async def echo(talker: ClientConnection, message: str) -> None:
    await talker.send(message)
    assert await asyncio.wait_for(talker.recv(), PATIENCE_S) == message


@pytest.mark.parametrize("hop", ["gateway", "activator", "queueproxy"])
async def test_a_draining_hop_cuts_no_tunnel_before_its_deadline(hop: str) -> None:
    async with App().running() as app, three_hops(app.port, mode="Proxy") as row:
        row.show_pod()
        async with websocket(row) as talker:
            await echo(talker, "before")
            row.hops[hop].stopping.set()
            for size in (1, 10_000, 1_000_000):
                await echo(talker, "x" * size)
            assert not row.hops[hop].task.done()
        await asyncio.wait_for(row.hops[hop].task, PATIENCE_S)  # the tunnel's end is the end of the drain


async def stopped_listening(port: int) -> None:
    """Return when the drain deadline runs: from the moment on in which a hop takes no more connections."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("hop", ["gateway", "activator"])
async def test_at_the_deadline_the_tunnel_ends_between_messages(hop: str) -> None:
    """What was sent before the deadline has arrived whole; then the connection ends, visibly without a close frame."""
    short = {"held" if hop == "activator" else "edge": {"drain_timeout_s": 60.0}}
    with moved_clock() as move:
        async with App().running() as app, three_hops(app.port, mode="Proxy", **short) as row:
            row.show_pod()
            async with websocket(row) as talker:
                row.hops[hop].stopping.set()
                await stopped_listening(row.hops[hop].port)
                await echo(talker, "y" * 100_000)
                move(61)
                with pytest.raises(ConnectionClosedError):
                    await asyncio.wait_for(talker.recv(), PATIENCE_S)
            await asyncio.wait_for(row.hops[hop].task, PATIENCE_S)


@pytest.mark.parametrize("mode", MODES)
async def test_a_silent_tunnel_ends_by_the_revisions_idle_timer_and_a_talking_one_does_not(mode: str) -> None:
    with moved_clock() as move:
        async with App().running() as app, three_hops(app.port, mode=mode, pod={"idle_timeout_s": 50.0}) as row:
            row.show_pod()
            async with websocket(row) as talker:
                for _ in range(5):
                    await echo(talker, "still here")
                    move(40)
                await echo(talker, "still here")
                move(51)
                with pytest.raises(ConnectionClosedError):
                    await asyncio.wait_for(talker.recv(), PATIENCE_S)
            async with client() as fetch:
                assert (await fetch(row.port, host=HOST)).status == 200
