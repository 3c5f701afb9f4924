"""Hostile and broken upstreams: what the client gets for each, and nothing left of it afterwards.

`rig` asserts after each that no slot, connection or task is left; descriptors are counted here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.wire import Handler, Peer, rig, turns_until
from tidegate.wire.limits import Limits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
    "a request instead of an answer": GET,
    "half a status line": b"HTTP/1.1 20",
    "half a head": OK + b"Content-Len",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 99 x\r\n\r\n",
    "status zero": b"HTTP/1.1 000 x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    "length list": OK + b"Content-Length: 2, 3\r\n\r\nab",
    "negative length": OK + b"Content-Length: -2\r\n\r\nab",
    "signed length": OK + b"Content-Length: +2\r\n\r\nab",
    "hex length": OK + b"Content-Length: 0x2\r\n\r\nab",
    "length and chunked": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a value": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "obs-fold": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"Content-Length : 0\r\n\r\n",
    "header without colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "a head without end": OK + b"X: " + b"y" * 70_000,
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
}

CUT: dict[str, bytes] = {
    "short body": OK + b"Content-Length: 10\r\n\r\nhalf",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "half a chunk": CHUNKED + b"5\r\nhel",
    "chunk size that is none": CHUNKED + b"5\r\nhello\r\nxyz\r\n",
    "negative chunk size": CHUNKED + b"5\r\nhello\r\n-1\r\n",
    "chunk size beyond 64 bits": CHUNKED + b"5\r\nhello\r\nfffffffffffffffff\r\n",
    "chunk longer than its size": CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n",
    "chunk size ended by LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "endless chunk extension": CHUNKED + b"5;" + b"x" * 70_000,
    "NUL in a chunk size": CHUNKED + b"5\r\nhello\r\n0\0\r\n\r\n",
}

BEHIND: dict[str, bytes] = {
    "a second answer": OK + b"Content-Length: 5\r\n\r\nhello" + OK + b"Content-Length: 6\r\n\r\nforged",
    "a byte too many": OK + b"Content-Length: 5\r\n\r\nhello!",
    "behind the last chunk": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + OK + b"Content-Length: 6\r\n\r\nforged",
    "a body under 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged",
    "a body under 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nforged",
}


def saying(answer: bytes, *, stays: bool = False) -> Handler:
    """Script: read a head, say this, close (or stay)."""

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(answer)
        await peer.flush()
        if stays:
            await peer.gone()

    return handler


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(autouse=True)
async def nothing_is_left():
    before, tasks_before = descriptors(), len(asyncio.all_tasks())
    yield
    await turns_until(lambda: descriptors() <= before and len(asyncio.all_tasks()) <= tasks_before)


@pytest.mark.parametrize("name", REFUSED)
async def test_no_answer_becomes_502(name: str) -> None:
    async with rig(saying(REFUSED[name])) as wire:
        answer = await wire.ask(GET)
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        assert len(wire.upstream.peers) == 1


@pytest.mark.parametrize("name", CUT)
async def test_a_broken_body_is_visibly_cut(name: str) -> None:
    async with rig(saying(CUT[name])) as wire:
        client = await wire.client()
        client.send(GET)
        text = await everything(client)
        assert text.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 10" in text or not text.endswith(b"0\r\n\r\n")
        assert not text.endswith(b"half......")


@pytest.mark.parametrize("name", BEHIND)
async def test_bytes_behind_an_answer_reach_nobody(name: str) -> None:
    async with rig(saying(BEHIND[name], stays=True)) as wire:
        client = await wire.client()
        for _ in range(2):
            client.send(GET)
            answer = await client.answer()
            assert answer.status in (200, 204, 304)
            assert b"forged" not in answer.head + answer.body
        assert len(wire.upstream.peers) == 2  # a connection that speaks out of turn is used once


async def test_an_early_answer_does_not_give_its_connection_to_another_request() -> None:
    """The upstream answers before the body has come; what follows on that connection would be read as a request."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    async with rig(saying(OK + b"Content-Length: 5\r\n\r\nhello", stays=True)) as wire:
        client = await wire.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled))
        assert (await client.answer()).body == b"hello"
        client.send(smuggled + GET)
        assert (await client.answer()).body == b"hello"
        assert [request.target for request in wire.director.requests] == [b"/", b"/"]
        assert len(wire.upstream.peers) == 2


async def test_a_flood_of_interim_answers_is_bounded_by_the_reader() -> None:
    async with rig(
        saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000 + OK + b"Content-Length: 0\r\n\r\n")
    ) as wire:
        client = await wire.client()
        client.send(GET)
        statuses = [(await client.answer()).status for _ in range(1001)]
        assert statuses == [103] * 1000 + [200]


async def test_a_client_that_reads_nothing_stops_the_upstream() -> None:
    limits = Limits(body_high_bytes=65536, body_low_bytes=16384)
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        peer.send(OK + b"Content-Length: 1000000000\r\n\r\n")
        while sent < 1_000_000_000:
            peer.send(b"x" * 65536)
            await peer.writer.drain()
            sent += 65536

    async with rig(endless, limits=limits) as wire:
        client = await wire.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        await stands_still(lambda: sent)
        assert sent < 50_000_000  # what the kernel's buffers hold, and our watermarks
        assert len(wire.director.requests) == 1
        client.reset()


async def everything(client: Peer) -> bytes:
    text = b""
    try:
        while piece := await asyncio.wait_for(client.reader.read(65536), 5):
            text += piece
    except ConnectionError:
        pass  # the cut itself
    return text


async def stands_still(count) -> None:
    seen = -1
    while seen != count() or not seen:
        seen = count()
        await asyncio.sleep(0.1)
