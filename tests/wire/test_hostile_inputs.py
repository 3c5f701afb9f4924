"""Malformed and hostile requests: the required answer for each, and never a byte of them upstream."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import PATIENCE_S, Rig, rig, turns_until
from tidegate.wire.limits import Limits, ServerTimers

HOST = b"Host: a\r\n"


def get(lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + lines + b"\r\n"


def post(lines: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request"),
    "bare LF in a header": (get(b"Host: a\nX: y\r\n"), 400, "bad_request"),
    "bare CR in a value": (get(HOST + b"X: a\rb\r\n"), 400, "bad_request"),
    "obs-fold": (get(HOST + b"X: a\r\n b\r\n"), 400, "bad_request"),
    "fold of the first line": (get(b" X: a\r\nHost: a\r\n"), 400, "bad_request"),
    "space before colon": (get(b"Host : a\r\n"), 400, "bad_request"),
    "header without colon": (get(HOST + b"nonsense\r\n"), 400, "bad_request"),
    "empty header name": (get(HOST + b": x\r\n"), 400, "bad_request"),
    "NUL in a value": (get(HOST + b"X: a\0b\r\n"), 400, "bad_request"),
    "NUL in the target": (get(HOST, b"/\0"), 400, "bad_request"),
    "no Host": (get(b""), 400, "bad_request"),
    "two Hosts": (get(b"Host: a\r\nhost: b\r\n"), 400, "bad_request"),
    "Host list": (get(b"Host: a, b\r\n"), 400, "bad_request"),
    "Host with userinfo": (get(b"Host: user@a\r\n"), 400, "bad_request"),
    "Host with path": (get(b"Host: a/b\r\n"), 400, "bad_request"),
    "Host with a bad port": (get(b"Host: a:x\r\n"), 400, "bad_request"),
    "Host with an endless port": (get(b"Host: a:" + b"0" * 30_000 + b"80\r\n"), 400, "bad_request"),
    "Host with dots without end": (get(b"Host: a" + b"." * 30_000 + b"\r\n"), 400, "bad_request"),
    "a target's host without end": (get(HOST, b"http://a" + b"." * 10_000 + b"/"), 400, "bad_request"),
    "unknown version": (get(HOST, version=b"HTTP/1.2"), 400, "bad_request"),
    "version 2 in a head": (get(HOST, version=b"HTTP/2.0"), 400, "bad_request"),
    "version 0.9": (b"GET /\r\n\r\n", 400, "bad_request"),
    "version 0.9 with a target that looks like a version": (get(HOST, b"/HTTP/1.1", b""), 400, "bad_request"),
    "version 0.9 with a target that ends like one": (b"GET /xHTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "bad_request"),
    "relative target": (get(HOST, b"path"), 400, "bad_request"),
    "foreign scheme": (get(HOST, b"ftp://a/"), 400, "bad_request"),
    "userinfo in the target": (get(HOST, b"http://u@a/"), 400, "bad_request"),
    "star for GET": (get(HOST, b"*"), 400, "bad_request"),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "upgrade_refused"),
    "negative length": (post(b"Content-Length: -1\r\n"), 400, "bad_request"),
    "signed length": (post(b"Content-Length: +1\r\n"), 400, "bad_request"),
    "length list": (post(b"Content-Length: 1, 1\r\n"), 400, "bad_request"),
    "two equal lengths": (post(b"Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "bad_request"),
    "two lengths": (post(b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "bad_request"),
    "huge length": (post(b"Content-Length: 99999999999999999999\r\n"), 400, "bad_request"),
    "hex length": (post(b"Content-Length: 0x1\r\n"), 400, "bad_request"),
    "CL.TE": (post(b"Content-Length: 4\r\n" + CHUNKED), 400, "bad_request"),
    "TE.CL": (post(CHUNKED + b"Content-Length: 4\r\n"), 400, "bad_request"),
    "TE.TE": (post(CHUNKED + b"Transfer-Encoding: identity\r\n"), 400, "bad_request"),
    "TE twice": (post(CHUNKED + CHUNKED), 400, "bad_request"),
    "TE tab": (post(b"Transfer-Encoding:\x0bchunked\r\n"), 400, "bad_request"),
    "TE xchunked": (post(b"Transfer-Encoding: xchunked\r\n"), 400, "bad_request"),
    "TE gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n"), 501, "upgrade_refused"),
    "TE with HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n", 400, "bad_request"),
    "unknown expectation": (post(b"Expect: coffee\r\nContent-Length: 1\r\n"), 417, "expectation_failed"),
    "long target": (get(HOST, b"/" + b"x" * 20_000), 414, "uri_too_long"),
    "endless target": (b"GET /" + b"x" * 80_000, 414, "uri_too_long"),
    "long header": (get(HOST + b"X: " + b"y" * 70_000 + b"\r\n"), 431, "head_too_large"),
    "many headers": (get(HOST + b"X: y\r\n" * 128), 431, "head_too_large"),
    "many noted headers": (get(HOST + b"Accept: y\r\n" * 128), 431, "head_too_large"),
}

BAD_CHUNKS: dict[str, bytes] = {
    "no size": b"\r\n",
    "not hex": b"g\r\n",
    "prefixed": b"0x5\r\nhello\r\n",
    "signed": b"+5\r\nhello\r\n",
    "negative": b"-5\r\nhello\r\n",
    "underscore": b"1_0\r\n",
    "space before size": b" 5\r\nhello\r\n",
    "space behind size": b"5 \r\nhello\r\n",
    "huge": b"FFFFFFFFFFFFFFFFF\r\n",
    "bare LF": b"5\nhello\r\n",
    "bare LF in the extension": b"5;a\nb\r\nhello\r\n",
    "bare CR in the extension": b"5;a\rb\r\nhello\r\n",
    "NUL in the extension": b"5;\0\r\nhello\r\n",
    "endless extension": b"5;" + b"x" * 5000,
    "longer than said": b"5\r\nhelloo\r\n",
    "shorter than said": b"6\r\nhello\r\n0\r\n\r\n",
    "LF behind data": b"5\r\nhello\n0\r\n\r\n",
    "bad trailer": b"0\r\nX y\r\n\r\n",
    "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "many trailers": b"0\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 20 + b"\r\n",
}


async def _expect_refusal(engine: Rig, raw: bytes, status: int, reason: str) -> None:
    client = await engine.client()
    client.send(raw)
    answer = await client.answer()
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.header("connection") == "close"
    assert answer.body
    assert await client.rest() == b""  # nothing is read behind a refused request


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_heads(name: str) -> None:
    raw, status, reason = REFUSED[name]
    async with rig() as engine:
        await _expect_refusal(engine, raw + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", status, reason)
        assert engine.director.requests == []
        assert engine.upstream.peers == []
        assert engine.server.counters.answers == {reason: 1}


@pytest.mark.parametrize("name", ["bare LF", "obs-fold", "CL.TE", "no Host", "long header", "two Hosts"])
async def test_refused_heads_byte_by_byte(name: str) -> None:
    raw, status, reason = REFUSED[name]
    async with rig() as engine:
        client = await engine.client()
        for start in range(0, len(raw), max(1, len(raw) // 100)):
            client.send(raw[start : start + max(1, len(raw) // 100)])
            await client.flush()
            await asyncio.sleep(0)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (status, reason)
        assert engine.director.requests == []


@pytest.mark.parametrize("when", ["with the head", "later"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
async def test_bad_chunks_are_refused(name: str, when: str) -> None:
    head = post(CHUNKED)
    async with rig() as engine:
        if when == "with the head":
            await _expect_refusal(engine, head + BAD_CHUNKS[name], 400, "bad_request")
            assert engine.director.requests == []
            return
        client = await engine.client()
        client.send(head)
        await turns_until(lambda: bool(engine.director.requests))
        client.send(BAD_CHUNKS[name] + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.answer()
        # The scripted upstream answers at the head already; then the break shows as a closed connection.
        assert answer.status in (200, 400)
        assert await client.rest() == b""
        assert len(engine.director.requests) == 1


async def test_leading_blank_lines_are_ignored() -> None:
    async with rig() as engine:
        client = await engine.client()
        client.send(b"\r\n\r\n" + get(HOST))
        assert (await client.answer()).status == 200
        client.send(b"\r\n" + get(HOST))
        assert (await client.answer()).status == 200


async def test_a_slow_head_is_answered_408() -> None:
    async with rig(timers=ServerTimers(head_timeout_s=0.05)) as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/1.1\r\nHo")
        answer = await client.answer()
        assert (answer.status, answer.reason) == (408, "head_timeout")
        assert await client.rest() == b""


async def test_an_idle_connection_is_closed_silently() -> None:
    async with rig(timers=ServerTimers(keep_alive_s=60)) as engine:
        fresh, used = await engine.client(), await engine.client()
        used.send(get(HOST))
        assert (await used.answer()).status == 200
        await turns_until(lambda: engine.server.counters.connections_open == 2)
        engine.pass_time(61)
        assert await fresh.rest() == b""
        assert await used.rest() == b""


async def test_a_client_that_never_reads_its_last_answer_is_cut_off() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000

    async def handler(peer):  # type: ignore[no-untyped-def]
        await peer.head()
        peer.send(big)
        await peer.gone()

    timers = ServerTimers(linger_s=0.05, stalled_s=2 * PATIENCE_S)
    async with rig(handler, timers=timers, limits=Limits(body_high_bytes=1 << 20)) as engine:
        client = await engine.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        # The answer stalls at the watermark; the drain deadline then ends it and cuts the connection.
        await turns_until(lambda: bool(engine.director.requests))
        assert await engine.server.drain(0.05) is False
        await turns_until(lambda: engine.server.counters.connections_open == 0)
