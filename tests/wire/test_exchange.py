"""Requests and answers through the engine: framing, order, hygiene, direction, retries."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.wire import OK, PATIENCE_S, Peer, answering, rig, turns_until
from tidegate.wire.director import Answer, Failure, Relay, Request, Timeouts

GET = b"GET /path?q HTTP/1.1\r\nHost: Hello.Example.com:8080\r\n\r\n"


async def test_get_passes_and_the_connection_is_kept() -> None:
    async with rig() as engine:
        client = await engine.client()
        for _ in range(3):
            client.send(GET)
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"ok")
        assert engine.pool.connects == 1
        assert engine.pool.reuses == 2
        assert engine.server.counters.requests == 3
        request = engine.director.requests[0]
        assert (request.method, request.target, request.host) == (b"GET", b"/path?q", "hello.example.com")
        assert request.peer == "127.0.0.1"
        outcome = engine.director.outcomes[0]
        assert (outcome.status, outcome.failure) == (200, None)
        assert 0 < (outcome.first_byte_s or 0) <= outcome.duration_s


async def test_heads_are_rebuilt_with_spelling_and_order() -> None:
    seen: list[bytes] = []

    async def handler(peer: Peer) -> None:
        seen.append(await peer.head())
        peer.send(
            b"HTTP/1.1 200 Fine\r\nx-One: 1\r\nConnection: X-Hop, keep-alive\r\nX-Hop: no\r\nKeep-Alive: timeout=5\r\n"
            b"Date: today\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"
        )
        await peer.rest()

    async with rig(handler, relay={"add_head": b"K-Proxy-Request: us\r\n", "answer_head": b"X-Via: us\r\n"}) as engine:
        answer = await engine.ask(
            b"GET / HTTP/1.1\r\nhost: a\r\nX-b: 1\r\nCONNECTION: x-named, close\r\nX-Named: drop\r\nX-SECRET: s\r\n"
            b"k-anything: s\r\nX-Inside-Thing: s\r\nProxy-Connection: x\r\nTE: trailers, deflate\r\nX-b: 2\r\n"
            b"Upgrade: h2c\r\n\r\n"
        )
        assert seen == [b"GET / HTTP/1.1\r\nhost: a\r\nX-b: 1\r\nX-b: 2\r\nTE: trailers\r\nK-Proxy-Request: us\r\n\r\n"]
        assert answer.head == (
            b"HTTP/1.1 200 Fine\r\nx-One: 1\r\nDate: today\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n"
            b"X-Via: us\r\nConnection: close\r\n\r\n"
        )
        request = engine.director.requests[0]
        assert request.header(b"x-secret") == b"s"
        assert request.header(b"x-inside-thing") == b"s"
        assert request.header(b"x-named") is None


@pytest.mark.parametrize(
    ("upstream_answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 299 Custom Phrase\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
@pytest.mark.parametrize("split", [1, 7, 1000])
async def test_answer_framings(upstream_answer: bytes, body: bytes, split: int) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        for start in range(0, len(upstream_answer), split):
            peer.send(upstream_answer[start : start + split])
            await peer.flush()
            if split < 1000:
                await asyncio.sleep(0)

    async with rig(handler) as engine:
        relay = Relay("127.0.0.1", engine.upstream.port)
        engine.director.on_retry = lambda request, failed, failure: relay
        client = await engine.client()
        client.send(GET)
        answer = await client.answer()
        assert answer.body == body
        assert answer.head.split()[1] == upstream_answer.split()[1]
        client.send(GET)  # the client's connection outlives the upstream's
        assert (await client.answer()).body == body


async def test_chunks_keep_their_borders_and_trailers_pass() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = head + b"2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 9\r\nContent-Length: 3\r\n\r\n"
    async with rig(answering(raw)) as engine:
        answer = await engine.ask(GET)
        assert answer.chunks == [b"ab", b"c"]
        assert answer.trailers == b"X-Sum: 9\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("split", [1, 5, 1000])
async def test_request_bodies(framing: str, split: int) -> None:
    bodies: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"Transfer-Encoding: chunked" in head:
                body = b""
                while size := int(await peer.until(b"\r\n"), 16):
                    body += (await peer.exactly(size + 2))[:-2]
                body += b"|" + await peer.until(b"\r\n\r\n")
            else:
                body = await peer.exactly(11)
            bodies.append(body)
            peer.send(OK)

    if framing == "length":
        raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
        expected = b"hello world"
    else:
        raw = (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"6\r\nhello \r\n5\r\nworld\r\n0\r\nX-T: 1\r\nK-Secret: 1\r\n\r\n"
        )
        expected = b"hello world|X-T: 1\r\n\r\n"
    async with rig(handler) as engine:
        client = await engine.client()
        stream = raw * 2
        for start in range(0, len(stream), split):
            client.send(stream[start : start + split])
            if split < 1000:
                await client.flush()
                await asyncio.sleep(0)
        for _ in range(2):
            assert (await client.answer()).status == 200
        assert bodies == [expected] * 2


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def handler(peer: Peer) -> None:
        while True:
            head = await peer.head()
            path = head.split()[1]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async def later(port: int) -> Relay:
        await asyncio.sleep(0.01)
        return Relay("127.0.0.1", port)

    def direct(request: Request, port: int) -> object:
        number = int(request.target[1:])
        if number % 3 == 0:
            return later(port)
        if number % 3 == 1:
            return Answer(200, "", request.target)
        return Relay("127.0.0.1", port)

    async with rig(handler, direct=direct) as engine:
        client = await engine.client()
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(30)))
        bodies = [(await client.answer()).body for _ in range(30)]
        assert bodies == [b"/%d" % number for number in range(30)]


async def test_many_pipelined_requests_pause_reading() -> None:
    release = asyncio.Event()

    async def held(port: int) -> Answer:
        await release.wait()
        return Answer(200, "", b"x")

    async with rig(direct=lambda request, port: held(port)) as engine:
        client = await engine.client()
        flood = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * 1000)
        sender = asyncio.create_task(_flood(client, flood, 8000))
        await turns_until(lambda: bool(engine.director.requests))
        await asyncio.sleep(0.05)
        assert engine.server.counters.bytes_in < 1_000_000
        sender.cancel()
        release.set()
        client.reset()


async def _flood(client: Peer, data: bytes, count: int) -> None:
    for _ in range(count):
        client.send(data)
        await client.writer.drain()


async def test_head_requests_have_no_body_and_keep_both_connections() -> None:
    async with rig(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")) as engine:
        client = await engine.client()
        for _ in range(2):
            client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await client.answer(to_head=True)
            assert answer.header("content-length") == "12"
        assert engine.pool.connects == 1


async def test_interim_answers_pass() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK
    async with rig(answering(raw)) as engine:
        client = await engine.client()
        client.send(GET)
        assert (await client.head()) == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        assert (await client.head()) == b"HTTP/1.1 102 Processing\r\n\r\n"
        assert (await client.answer()).body == b"ok"
        old = await engine.ask(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert old.status == 200


async def test_expect_continue_goes_end_to_end() -> None:
    async def handler(peer: Peer) -> None:
        head = await peer.head()
        assert b"Expect: 100-continue\r\n" in head
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.exactly(4) == b"body"
        peer.send(OK)
        await peer.rest()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"body")
        assert (await client.answer()).status == 200


async def test_http_1_0_clients() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with rig(answering(chunked)) as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert answer.header("connection") == "close"
        assert answer.header("transfer-encoding") is None
        assert answer.body == b"hi"
        assert engine.director.requests[0].host == ""
    async with rig() as engine:
        client = await engine.client()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.answer()).header("connection") == "keep-alive"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).header("connection") == "close"
        assert await client.rest() == b""


async def test_connection_close_is_honoured() -> None:
    async with rig() as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        answer = await client.answer()
        assert answer.header("connection") == "close"
        assert await client.rest() == b""
        assert len(engine.director.requests) == 1


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://Other.com:81/x?y", "other.com", b"/x?y"),
        (b"HTTP://other.com", "other.com", b"/"),
        (b"http://other.com?q=1", "other.com", b"/?q=1"),
    ],
)
async def test_absolute_form(target: bytes, host: str, path: bytes) -> None:
    async with rig() as engine:
        await engine.ask(b"GET %b HTTP/1.1\r\nX: 1\r\nHost: ignored\r\n\r\n" % target)
        request = engine.director.requests[0]
        assert (request.host, request.target) == (host, path)


async def test_own_answers_carry_reason_length_and_json() -> None:
    def direct(request: Request, port: int) -> Answer:
        return Answer(503, "queue_full", b"pending request queue full", ((b"Retry-After", b"1"),))

    async with rig(direct=direct) as engine:
        client = await engine.client()
        client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.body) == (503, "queue_full", b"pending request queue full")
        assert answer.header("retry-after") == "1"
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
        answer = await client.answer()
        assert answer.header("content-type") == "application/json"
        assert json.loads(answer.body) == {"error": "pending request queue full", "reason": "queue_full"}
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer(to_head=True)).header("content-length") == "26"
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        assert json.loads((await client.answer()).body)["reason"] == "queue_full"
        assert engine.server.counters.answers == {"queue_full": 4}


async def test_held_body_is_not_lost() -> None:
    release = asyncio.Event()
    got: list[bytes] = []

    async def handler(peer: Peer) -> None:
        await peer.head()
        got.append(await peer.exactly(3_000_000))
        peer.send(OK)
        await peer.rest()

    async def held(port: int) -> Relay:
        await release.wait()
        return Relay("127.0.0.1", port)

    async with rig(handler, direct=lambda request, port: held(port)) as engine:
        client = await engine.client()
        body = bytes(range(250)) * 12000
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + body)
        await turns_until(lambda: engine.server.counters.bytes_in > 256 * 1024)
        await asyncio.sleep(0.05)
        assert engine.server.counters.bytes_in < 1_000_000  # reading has stopped
        release.set()
        assert (await client.answer()).status == 200
        assert got == [body]


async def test_client_leaving_while_held_cancels_the_awaitable() -> None:
    cancelled = asyncio.Event()

    async def held() -> Relay:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with rig(direct=lambda request, port: held()) as engine:
        client = await engine.client()
        client.send(GET)
        await turns_until(lambda: engine.server.in_flight == 1)
        client.close()
        await asyncio.wait_for(cancelled.wait(), PATIENCE_S)
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.CLIENT_GONE
        assert engine.director.outcomes[0].status == 0


async def test_client_leaving_while_its_held_body_stands_still() -> None:
    async def held() -> Relay:
        await asyncio.Event().wait()
        raise AssertionError

    async with rig(direct=lambda request, port: held()) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000)
        await turns_until(lambda: engine.server.counters.bytes_in > 256 * 1024)
        client.reset()
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.CLIENT_GONE


async def test_finished_comes_after_the_awaitable_has_ended_and_hands_its_result_on() -> None:
    async def stubborn(port: int) -> Relay:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return Relay("127.0.0.1", port, context="seat 7")

    async with rig(direct=lambda request, port: stubborn(port)) as engine:
        client = await engine.client()
        client.send(GET)
        await turns_until(lambda: engine.server.in_flight == 1)
        client.reset()
        await engine.director.all_finished()
        direction = engine.director.outcomes[0].direction
        assert isinstance(direction, Relay)
        assert direction.context == "seat 7"


async def test_client_leaving_closes_the_upstream() -> None:
    left = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.gone()
        left.set()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(GET)
        await turns_until(lambda: bool(engine.upstream.peers))
        client.close()
        await asyncio.wait_for(left.wait(), PATIENCE_S)
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.CLIENT_GONE


@pytest.mark.parametrize("failing", ["direct", "awaitable", "retry"])
async def test_a_failing_director_answers_500(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> Relay:
        raise RuntimeError("bug")

    def direct(request: Request, port: int) -> object:
        if failing == "direct":
            raise RuntimeError("bug")
        return fails() if failing == "awaitable" else Relay("127.0.0.1", 1)

    async with rig(direct=direct) as engine:

        def on_retry(request: Request, failed: Relay, failure: Failure) -> Answer:
            raise RuntimeError("bug")

        engine.director.on_retry = on_retry
        answer = await engine.ask(GET)
        assert (answer.status, answer.reason) == (500, "internal_error")
    assert "the director failed" in caplog.text


async def test_connect_failure_is_retried_and_at_last_answered() -> None:
    async with rig(direct=lambda request, port: Relay("127.0.0.1", 1)) as engine:
        port = engine.upstream.port
        engine.director.on_retry = lambda request, failed, failure: Relay(
            "127.0.0.1", port if request.attempts == 3 else 1
        )
        answer = await engine.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert answer.status == 200
        assert engine.director.retries == [Failure.CONNECT] * 3
        engine.director.on_retry = lambda request, failed, failure: Relay("127.0.0.1", 1)
        answer = await engine.ask(GET)
        assert (answer.status, answer.reason) == (502, "upstream_connect_failed")
        assert engine.director.outcomes[-1].failure is Failure.CONNECT
        assert engine.director.requests[-1].attempts == 10


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 80), ("127.0.0.1", 99999), ("", 1)])
async def test_an_impossible_upstream_is_a_connect_failure(host: str, port: int) -> None:
    async with rig(direct=lambda request, _: Relay(host, port)) as engine:
        assert (await engine.ask(GET)).status == 503
        assert engine.director.retries == [Failure.CONNECT]


async def test_a_director_that_returns_nonsense_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(direct=lambda request, _: "nonsense") as engine:
        answer = await engine.ask(GET)
        assert (answer.status, answer.reason) == (500, "internal_error")
    assert "the director" in caplog.text


async def test_stale_connection_is_retried_for_idempotent_requests() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(OK)
        await peer.head()  # closes at the second request without a byte

    async with rig(handler) as engine:
        port = engine.upstream.port
        engine.director.on_retry = lambda request, failed, failure: Relay("127.0.0.1", port)
        client = await engine.client()
        for _ in range(2):
            client.send(GET)
            assert (await client.answer()).status == 200
        assert engine.director.retries == [Failure.STALE]
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")  # the peer takes it, and closes
        answer = await client.answer()
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        assert engine.director.outcomes[-1].failure is Failure.UPSTREAM


async def test_a_post_never_meets_a_connection_that_the_peer_has_closed() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(OK)
        await peer.flush()
        peer.writer.transport.abort()

    async with rig(handler) as engine:
        client = await engine.client()
        for _ in range(20):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\n\r\n",
        b"HTTP/1.1 200 OK\r\nX",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000,
    ],
)
async def test_upstream_garbage_before_the_answer_is_502(garbage: bytes) -> None:
    async with rig(answering(garbage, close=True)) as engine:
        answer = await engine.ask(GET)
        assert (answer.status, answer.reason) == (502, "upstream_failed")
        assert engine.director.outcomes[0].failure is Failure.UPSTREAM


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf5\r\n",
    ],
)
async def test_upstream_breaking_mid_body_breaks_the_clients_answer(broken: bytes) -> None:
    async with rig(answering(broken, close=True)) as engine:
        client = await engine.client()
        client.send(GET)
        assert b"200 OK" in await client.head()
        rest = await client.rest()
        assert b"half" in rest
        assert not rest.endswith(b"0\r\n\r\n")
        assert engine.director.outcomes[0].failure is Failure.BROKEN_ANSWER


async def test_unsolicited_bytes_make_a_connection_unusable() -> None:
    async with rig(answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")) as engine:
        client = await engine.client()
        for _ in range(3):
            client.send(GET)
            assert (await client.answer()).body == b"ok"
        assert engine.pool.connects == 3


async def test_early_answer_keeps_the_connection_when_the_body_is_small() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(OK)
        await peer.gone()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        assert (await client.answer()).status == 200
        client.send(b"world" + GET)
        assert (await client.answer()).status == 200
        assert engine.pool.reuses == 0


async def test_early_answer_to_an_endless_body_closes_after_the_answer() -> None:
    async with rig(direct=lambda request, port: Answer(413, "", b"no")) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        sender = asyncio.create_task(_flood(client, b"x" * 65536, 1000))
        assert (await client.answer()).status == 413
        assert await client.rest() == b""
        sender.cancel()


async def test_full_duplex() -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            peer.send(b"1\r\n" + await peer.exactly(1) + b"\r\n")
        peer.send(b"0\r\n\r\n")
        await peer.rest()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        await client.head()
        for letter in (b"a", b"b", b"c"):
            client.send(letter)
            assert await client.exactly(6) == b"1\r\n" + letter + b"\r\n"
        assert await client.exactly(5) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("timeouts", "failure", "reason"),
    [
        (Timeouts(response_start_s=0.05), Failure.TIMEOUT_START, "response_start_timeout"),
        (Timeouts(idle_s=0.05), Failure.TIMEOUT_IDLE, "idle_timeout"),
        (Timeouts(total_s=0.05), Failure.TIMEOUT_TOTAL, "request_timeout"),
    ],
)
async def test_timeouts_before_the_answer(timeouts: Timeouts, failure: Failure, reason: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.gone()

    async with rig(handler, relay={"timeouts": timeouts}) as engine:
        answer = await engine.ask(GET)
        assert (answer.status, answer.reason, answer.body) == (504, reason, b"request timeout")
        assert engine.director.outcomes[0].failure is failure
        assert engine.director.outcomes[0].duration_s >= 0.05


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("timeouts", [Timeouts(idle_s=60), Timeouts(total_s=60)])
async def test_timeouts_after_the_answer_began_break_it(timeouts: Timeouts, version: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await peer.gone()

    async with rig(handler, relay={"timeouts": timeouts}) as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        await client.until(b"half")
        engine.pass_time(61)
        if version == b"1.0":
            with pytest.raises(ConnectionError):
                await client.rest()
        else:
            assert not (await client.rest()).endswith(b"0\r\n\r\n")
        assert engine.director.outcomes[0].failure in (Failure.TIMEOUT_IDLE, Failure.TIMEOUT_TOTAL)


async def test_response_start_does_not_cut_an_answer_that_began() -> None:
    go_on = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await go_on.wait()
        peer.send(b"k")
        await peer.rest()

    async with rig(handler, relay={"timeouts": Timeouts(response_start_s=60, idle_s=300)}) as engine:
        client = await engine.client()
        client.send(GET)
        await client.until(b"\r\n\r\no")
        engine.pass_time(61)
        go_on.set()
        assert await client.exactly(1) == b"k"
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is None
