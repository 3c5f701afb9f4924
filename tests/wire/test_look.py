"""A director may look at the beginning of a held request's body before it decides; the upstream still gets it all."""

from __future__ import annotations

import asyncio
from typing import Any

import h2.events
import pytest

from tests.support.h2_peers import POST, H2Peer
from tests.support.wire import Peer, rig, turns_until
from tidegate.wire.director import Direction, Relay, Request
from tidegate.wire.limits import Limits
from tidegate.wire.request_body import LOOK_LIMIT_BYTES

FRAME_BYTES = 16384


class Looking:
    """Directs each request after a look at so many bytes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen: list[bytes] = []
        self.asked = 0

    def __call__(self, request: Request, port: int) -> Any:
        return self._look(request, port)

    async def _look(self, request: Request, port: int) -> Direction:
        self.asked += 1
        assert request.body is not None
        self.seen.append(await request.body.first(self.count))
        return Relay("127.0.0.1", port)


async def shouting(peer: Peer) -> None:
    """Script: answer each request of a known length with its body."""
    while True:
        head = (await peer.head()).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await peer.exactly(length)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)


@pytest.mark.parametrize(("count", "seen"), [(0, b""), (3, b"hel"), (5, b"hello"), (9, b"hello")])
async def test_what_is_seen_is_passed_on_whole(count: int, seen: bytes) -> None:
    looking = Looking(count)
    async with rig(shouting, direct=looking) as engine:
        answer = await engine.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert answer.body == b"hello"
        assert looking.seen == [seen]


@pytest.mark.parametrize("end", [b"", b"lo, world"])
async def test_a_look_waits_for_as_much_as_it_asked_for_or_the_end(end: bytes) -> None:
    looking = Looking(8)
    whole = b"hel" + (end or b"p")
    async with rig(shouting, direct=looking) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nhel" % len(whole))
        await turns_until(lambda: looking.asked == 1)
        assert looking.seen == []
        client.send(whole[3:])
        assert (await client.answer()).body == whole
        assert looking.seen == [whole[:8]]


async def test_by_http2_a_look_is_as_long_as_a_window() -> None:
    looking = Looking(1 << 30)
    body = bytes(range(256)) * 300
    async with rig(shouting, direct=looking) as engine:
        client = H2Peer(await engine.client(), is_client=True)
        stream_id = client.ask([*POST, ("content-length", str(len(body)))], end=False)
        for start in range(0, LOOK_LIMIT_BYTES, FRAME_BYTES):
            client.h2.send_data(stream_id, body[start : min(start + FRAME_BYTES, LOOK_LIMIT_BYTES)])
        client.flush()
        await turns_until(lambda: looking.seen != [])
        await client.event(h2.events.WindowUpdated, stream_id)
        client.h2.send_data(stream_id, body[LOOK_LIMIT_BYTES:], end_stream=True)
        client.flush()
        _, answer, _ = await client.answer(stream_id)
        assert answer == body
        assert looking.seen == [body[:LOOK_LIMIT_BYTES]]
        client.close()


async def test_a_client_that_waits_for_a_100_is_not_waited_for() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + await peer.exactly(5))

    looking = Looking(5)
    async with rig(handler, direct=looking) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"hello")
        assert (await client.answer()).body == b"hello"
        assert looking.seen == [b""]


async def test_a_client_that_leaves_takes_its_look_along() -> None:
    looking = Looking(5)
    async with rig(shouting, direct=looking) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await turns_until(lambda: looking.asked == 1)
        client.reset()
        await engine.director.all_finished()
        assert looking.seen == []
        assert engine.upstream.peers == []


async def test_a_look_that_was_given_up_disturbs_nothing() -> None:
    async def impatient(request: Request, port: int) -> Direction:
        assert request.body is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await request.body.first(5)
        return Relay("127.0.0.1", port)

    async with rig(shouting, direct=impatient) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await turns_until(lambda: engine.upstream.peers != [])
        client.send(b"llo")
        assert (await client.answer()).body == b"hello"


async def test_who_gave_up_may_look_again() -> None:
    seen: list[bytes] = []

    async def persistent(request: Request, port: int) -> Direction:
        assert request.body is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await request.body.first(5)
        seen.append(await request.body.first(2))
        return Relay("127.0.0.1", port)

    async with rig(shouting, direct=persistent) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await turns_until(lambda: engine.upstream.peers != [])
        assert seen == [b"he"]
        client.send(b"llo")
        assert (await client.answer()).body == b"hello"


async def test_a_look_ends_where_reading_of_a_held_body_does() -> None:
    looking = Looking(1 << 30)
    body = bytes(range(256)) * 300
    async with rig(shouting, direct=looking, limits=Limits(body_high_bytes=1000, body_low_bytes=500)) as engine:
        answer = await engine.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert answer.body == body
        assert looking.seen == [body[:1000]]
