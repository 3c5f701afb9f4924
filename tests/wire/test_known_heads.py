"""Requests and answers under a head that came before take a short way: what they say must not change for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import h2_peers
from tests.support.h2_peers import H2Peer
from tests.support.wire import PATIENCE_S, Handler, Peer, rig, turns_until
from tidegate.wire.director import Answer, Relay

GET = b"GET / HTTP/1.1\r\nHost: a\r\nX-Who: me\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"


def script(*answers: bytes) -> Handler:
    """Answer the requests of a connection with these, one each."""

    async def handler(peer: Peer) -> None:
        for answer in answers:
            await peer.head()
            peer.send(answer)
        await peer.gone()

    return handler


async def test_bodies_differ_under_one_head() -> None:
    async with rig(script(OK + b"one..", OK + b"two..", OK + b"three")) as wire:
        client = await wire.client()
        for body in (b"one..", b"two..", b"three"):
            client.send(GET)
            answer = await client.answer()
            assert (answer.status, answer.body, answer.header("content-length")) == (200, body, "5")
            assert answer.header("date")
        assert len(wire.upstream.peers) == 1


async def test_head_requests_between_gets() -> None:
    async with rig(script(OK + b"one..", OK, OK + b"three", OK, OK + b"five.")) as wire:
        client = await wire.client()
        for number, body in enumerate((b"one..", b"", b"three", b"", b"five.")):
            client.send(GET.replace(b"GET", b"HEAD") if number % 2 else GET)
            answer = await client.answer(to_head=number % 2 == 1)
            assert (answer.status, answer.body) == (200, body)
        assert len(wire.upstream.peers) == 1


@pytest.mark.parametrize("status", [204, 304, 100])
async def test_heads_without_a_body_are_never_answered_whole(status: int) -> None:
    bodiless = b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status
    async with rig(script(bodiless, bodiless + b"HTTP/", OK + b"after")) as wire:
        client = await wire.client()
        client.send(GET)
        first = await client.answer()
        if status == 100:
            assert first.status == 100
            return  # the answer itself never comes
        client.send(GET)
        second = await client.answer()
        assert (first.status, second.status, second.body) == (status, status, b"")


async def test_bytes_behind_a_known_answer_end_the_upstream_connection() -> None:
    async with rig(script(OK + b"one..", OK + b"two..HTTP/1.1 200 OK\r\n", OK + b"never")) as wire:
        client = await wire.client()
        for body in (b"one..", b"two..", b"one.."):
            client.send(GET)
            assert (await client.answer()).body == body
        assert len(wire.upstream.peers) == 2


async def test_a_known_answer_in_two_pieces() -> None:
    async def handler(peer: Peer) -> None:
        for cut in (len(OK) + 5, len(OK) + 2, len(OK), 20, len(OK) + 5):
            await peer.head()
            peer.send((OK + b"hello")[:cut])
            await peer.flush()
            await asyncio.sleep(0.01)
            peer.send((OK + b"hello")[cut:])
        await peer.gone()

    async with rig(handler) as wire:
        client = await wire.client()
        for _ in range(5):
            client.send(GET)
            assert (await client.answer()).body == b"hello"


async def test_a_known_request_in_two_pieces_and_pipelined() -> None:
    async with rig(script(*[OK + b"hello"] * 6)) as wire:
        client = await wire.client()
        client.send(GET)
        await client.answer()
        client.send(GET[:10])
        await client.flush()
        await asyncio.sleep(0.01)
        client.send(GET[10:])
        await client.answer()
        client.send(GET + GET.replace(b"me", b"you") + GET + GET)
        for _ in range(4):
            assert (await client.answer()).body == b"hello"
        assert len(wire.director.requests) == 6


async def test_the_directors_lines_are_those_of_this_request() -> None:
    seen: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(OK + b"hello")

    def direct(request: object, port: int) -> Relay:
        number = len(seen)
        return Relay(
            "127.0.0.1", port, add_head=b"X-Turn: %d\r\n" % (number // 2), answer_head=b"X-Out: %d\r\n" % number
        )

    async with rig(handler, direct=direct) as wire:
        client = await wire.client()
        for number in range(5):
            client.send(GET)
            assert (await client.answer()).header("x-out") == str(number)
        turns = [head.split(b"X-Turn: ")[1].split(b"\r\n")[0] for head in seen]
        assert turns == [b"0", b"0", b"1", b"1", b"2"]


@pytest.mark.parametrize("http", ["1.1", "2"])
@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    ids=["whole", "chunked"],
)
async def test_lines_that_are_made_when_the_answer_comes(framing: bytes, http: str) -> None:
    calls: list[int] = []

    def direct(request: object, port: int) -> Relay:
        relay = Relay("127.0.0.1", port, answer_head=b"X-Out: fixed\r\n")
        if len(calls) in (0, 2):  # of an answer that is read anew, and of one whose head is known
            relay.on_answer = lambda: calls.append(0) or b"Server-Timing: ours;dur=%d\r\n" % len(calls)  # type: ignore[func-returns-value]
        else:
            calls.append(0)
        return relay

    upstream = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nServer-Timing: app;dur=7\r\n" + framing
    async with rig(script(*[upstream] * 4), direct=direct) as wire:
        found = []
        if http == "2":
            peer = H2Peer(await wire.client(), is_client=True)
            for _ in range(4):
                headers, body, _ = await peer.answer(peer.ask(h2_peers.GET))
                assert body == b"hello"
                found.append(headers["server-timing"] if "x-out" not in headers else headers["x-out"])
            peer.close()
            assert found == ["ours;dur=1", "fixed", "ours;dur=3", "fixed"]
            return
        client = await wire.client()
        for _ in range(4):
            client.send(GET)
            assert (await client.answer()).status == 103
            answer = await client.answer()
            assert answer.body == b"hello"
            lines = [line.partition(b": ")[2] for line in answer.head.split(b"\r\n")]
            assert b"app;dur=7" in lines  # the app's own line stays
            found.append(next(line for line in lines if line.startswith((b"ours", b"fixed"))))
        assert found == [b"ours;dur=1", b"fixed", b"ours;dur=3", b"fixed"]


async def test_many_in_flight_keep_their_order_and_are_sent_before_the_close() -> None:
    """Ten connections, pipelined: relayed, answered here, relayed with `Connection: close`."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(OK + b"hello")

    def direct(request: object, port: int) -> Relay | Answer:
        target = request.target  # type: ignore[attr-defined]
        return Answer(404, "no_route", b"no") if target == b"/ours" else Relay("127.0.0.1", port)

    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with rig(handler, direct=direct) as wire:
        clients = [await wire.client() for _ in range(10)]
        for client in clients:
            client.send(GET + GET + GET.replace(b"/ ", b"/ours ") + GET + last)
        for client in clients:
            assert [(await client.answer()).status for _ in range(5)] == [200, 200, 404, 200, 200]
            assert await client.rest() == b""


async def test_draining_sends_what_was_answered() -> None:
    async with rig(script(*[OK + b"hello"] * 3)) as wire:
        clients = [await wire.client() for _ in range(8)]
        for _ in range(2):
            for client in clients:
                client.send(GET)
            for client in clients:
                assert (await client.answer()).body == b"hello"
        for client in clients:
            client.send(GET)
        await turns_until(lambda: len(wire.director.requests) == 24)
        assert await wire.server.drain(PATIENCE_S)
        answered = [await client.rest() for client in clients]
        assert all(text.endswith(b"hello") for text in answered)


async def test_streams_of_http2_get_known_answers_whole() -> None:
    bodies = (b"one..", b"two..", b"three", b"four.", b"five.")
    async with rig(script(*[OK + body for body in bodies])) as wire:
        client = H2Peer(await wire.client(), is_client=True)
        for body in bodies:
            headers, got, _ = await client.answer(client.ask(h2_peers.GET))
            assert (headers[":status"], headers["content-length"], got) == ("200", "5", body)
            assert "date" in headers
        assert len(wire.upstream.peers) == 1
        client.close()


async def test_one_upstream_connection_serves_clients_of_both_versions() -> None:
    async with rig(script(*[OK + b"hello"] * 6)) as wire:
        old, new = await wire.client(), H2Peer(await wire.client(), is_client=True)
        for _ in range(3):
            old.send(GET)
            answer = await old.answer()
            assert (answer.status, answer.body) == (200, b"hello")
            assert (await new.answer(new.ask(h2_peers.GET)))[1] == b"hello"
        assert len(wire.upstream.peers) == 1
        new.close()
