"""Streams of one HTTP/2 connection share its window and its socket: none waits for as long as another has something."""

from __future__ import annotations

import asyncio
import time

import h2.events
import pytest
from h2.settings import SettingCodes

from tests.support.h2_peers import GET, H2Peer
from tests.support.wire import OK, Peer, rig
from tidegate.wire.limits import ServerTimers

ENDLESS = [*GET[:3], (":path", "/endless")]


async def pour(peer: Peer) -> None:
    """Answer `/endless` with a body that never ends, everything else shortly."""
    if b"/endless" not in await peer.head():
        peer.send(OK)
        return
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    try:
        while True:
            peer.send(bytes(100_000))
            await peer.writer.drain()
    except ConnectionError:
        pass


async def test_a_short_answer_passes_a_long_one_that_fills_the_connections_window():
    async with rig(pour) as engine:
        client = H2Peer(await engine.client(), is_client=True)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: (1 << 31) - 1})  # the connection's stays at 64 KiB
        endless = client.ask(ENDLESS)
        while sum(isinstance(event, h2.events.DataReceived) for event in client.events) < 20:
            await client.read()
        short = client.ask()
        reads = 0
        while not any(isinstance(e, h2.events.StreamEnded) and e.stream_id == short for e in client.events):
            await client.read()
            reads += 1
            assert reads < 500, "the short answer waits for the end of the long one"
        client.h2.reset_stream(endless)
        client.flush()
        client.close()


async def test_the_time_to_take_an_answer_begins_anew_with_each_part_that_waits(monkeypatch: pytest.MonkeyPatch):
    more = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1100000\r\n\r\n" + bytes(100_000))
        await more.wait()
        peer.send(bytes(1_000_000))

    async with rig(handler, timers=ServerTimers(stalled_s=60)) as engine:
        client = H2Peer(await engine.client(), is_client=True)
        stream_id = client.ask()
        while sum(len(event.data) for event in client.events if isinstance(event, h2.events.DataReceived)) < 100_000:
            await client.read()
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 90)
        engine.pass_time(0)  # nothing waits, so nobody is late
        client.acknowledges = False
        more.set()
        while client.h2.remote_flow_control_window(stream_id):
            await client.read()
        engine.pass_time(30)
        client.acknowledges = True
        for window_of in (None, stream_id):
            client.h2.increment_flow_control_window(1 << 20, window_of)
        client.flush()
        assert len((await client.answer(stream_id))[1]) == 1_100_000
        assert engine.server.counters.floods == {}
        client.close()
