"""The words that tables of hostile requests are written in, and how a row is played against a world.

    "CL.TE": refused(post(b"Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n", b"0\\r\\n\\r\\n")),
    "one length": passed(post(b"Content-Length: 2\\r\\n", b"ab"), Seen(b"POST", b"/", b"ab")),

Behind everything that must be refused a poisonous request is sent; behind everything that keeps the connection a good
one. The upstream must have seen what the row says and nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tests.support import strict_http
from tests.support.hostile_world import HOST, PATIENCE_S, Tls, World, clients
from tests.support.strict_http import Message

HOST_LINE = b"Host: " + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POISON = b"GET /poison HTTP/1.1\r\n" + HOST_LINE + b"\r\n"
CANARY = b"GET /canary HTTP/1.1\r\n" + HOST_LINE + b"\r\n"


def get(lines: bytes = b"", target: bytes = b"/", *, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a request without a body; Host stands before `lines`."""
    return b"%b %b %b\r\n%b%b\r\n" % (method, target, version, HOST_LINE, lines)


def post(lines: bytes, body: bytes = b"", target: bytes = b"/") -> bytes:
    """Return a POST; its framing is said in `lines`."""
    return b"POST %b HTTP/1.1\r\n%b%b\r\n%b" % (target, HOST_LINE, lines, body)


def chunked(body: bytes, target: bytes = b"/") -> bytes:
    """Return a POST whose chunked body is spelt out."""
    return post(CHUNKED, body, target)


@dataclass(frozen=True)
class Seen:
    """A request as the upstream must have seen it. `has` and `lacks`: header lines and names, in lower case."""

    method: bytes = b"GET"
    target: bytes = b"/"
    body: bytes = b""
    has: tuple[tuple[bytes, bytes], ...] = ()
    lacks: tuple[bytes, ...] = ()
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def check(self, message: Message) -> None:
        assert (*message.start, message.body) == (self.method, self.target, self.body)
        assert message.trailers == self.trailers
        for line in self.has:
            assert line in message.headers
        names = {name for name, _ in message.headers}
        assert not names & set(self.lacks)


@dataclass(frozen=True)
class Row:
    """`gets`: status and reason of each answer (no reason: the app's). `then`: whether the connection is kept.

    `instead`: the same for the directors that answer otherwise. `is_cut`: the upstream may have seen a request begin
    whose end never came.
    """

    sent: bytes
    gets: tuple[tuple[int, str], ...]
    then: str
    seen: tuple[Seen, ...] = ()
    is_cut: bool = False
    instead: tuple[tuple[str, Row], ...] = ()
    interim: tuple[int, ...] = ()
    tunnel: bytes | None = None

    def at(self, director: str) -> Row:
        return dict(self.instead).get(director, self)

    def but(self, director: str, **changes: object) -> Row:
        """Return the same row with another outcome at one director."""
        other = replace(self, instead=(), **changes)  # type: ignore[arg-type]
        return replace(self, instead=(*self.instead, (director, other)))


def refused(sent: bytes, status: int = 400, reason: str = "bad_request") -> Row:
    """Answered by us, closed, nothing seen upstream."""
    return Row(sent, ((status, reason),), "closed")


def passed(sent: bytes, *seen: Seen, then: str = "kept", interim: tuple[int, ...] = ()) -> Row:
    """Answered by the app, once for each request that it saw."""
    return Row(sent, ((200, ""),) * len(seen), then, seen, interim=interim)


def nowhere(row: Row) -> Row:
    """Let queueproxy do as the row says; the others know no such host."""
    lost = {"gets": ((404, "no_route"),), "seen": ()}
    return row.but("gateway", **lost).but("activator", **lost | {"gets": ((404, "unknown_revision"),)})


class Line(asyncio.Protocol):
    """A client's connection in the hand of a test."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.raw = b""
        self.position = 0
        self.is_over = False
        self.was_reset = False
        self.news = asyncio.Event()

    @classmethod
    async def connect(cls, port: int, tls: Tls | None = None) -> Line:
        options: dict[str, Any] = {} if tls is None else {"ssl": tls.client, "server_hostname": HOST.decode()}
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port, **options)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        clients.add(self.transport)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self.news.set()

    def eof_received(self) -> bool:
        self.is_over = True
        self.news.set()
        return self.transport.get_extra_info("ssl_object") is None  # TLS has no half that stays open

    def connection_lost(self, exc: Exception | None) -> None:
        clients.discard(self.transport)
        self.is_over = True
        self.was_reset = exc is not None
        self.news.set()

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    async def answer(self, method: bytes = b"GET") -> Message:
        """Return the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            while (found := strict_http.answer_of(self.raw, self.position, method)) is None:
                assert not self.is_over, f"closed within an answer: {self.raw[self.position :]!r}"
                self.news.clear()
                await self.news.wait()
        self.position = found[1]
        return found[0]

    async def over(self) -> bytes:
        """Wait for the end; return what came before it."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.is_over:
                self.news.clear()
                await self.news.wait()
        return self.raw[self.position :]

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        if not self.transport.is_closing():
            endpoint = self.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def trickle(line: Line, pieces: Sequence[bytes]) -> None:
    """Send pieces so that each arrives by itself."""
    for piece in pieces:
        line.send(piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def by_bytes(data: bytes) -> list[bytes]:
    """Cut into single bytes, or into about 200 pieces where that would be many more."""
    step = max(1, len(data) // 200)
    return [data[start : start + step] for start in range(0, len(data), step)]


async def play(world: World, row: Row, pieces: Sequence[bytes] | None = None) -> None:
    """Send a row, in pieces if they are given, and hold everybody to its outcome."""
    row = row.at(world.director)
    recorder = world.recorder
    recorder.begin()
    line = await Line.connect(world.port, world.tls)
    try:
        if pieces is None:
            line.send(row.sent + (POISON if row.then == "closed" else b""))
        else:
            await trickle(line, pieces)
            if row.then == "closed":
                line.send(POISON)
        await _answered(line, row, is_whole=pieces is None)
        if row.tunnel is not None:
            await _tunnelled(world, line, row.tunnel)
        elif row.then == "closed":
            assert await line.over() == b""
        else:
            await _canary(line)
    finally:
        line.close()
    await world.settled()
    check_seen(world, row.seen, is_cut=row.is_cut or pieces is not None)


async def _answered(line: Line, row: Row, *, is_whole: bool) -> None:
    for number, (status, reason) in enumerate(row.gets):
        method = row.seen[number].method if number < len(row.seen) else b"GET"
        answer = await line.answer(method)
        assert (answer.status, answer.reason) == (status, reason), answer
        if reason:
            assert answer.body
            is_last = number == len(row.gets) - 1
            assert (answer.header(b"connection") == b"close") == (row.then == "closed" and is_last)
        if number == 0 and is_whole:
            assert tuple(answer.interim) == row.interim


def check_seen(world: World, expected: Sequence[Seen], *, is_cut: bool = False) -> None:
    """Assert that the upstream saw exactly these requests, whoever reads its bytes."""
    world.recorder.check(is_cut=is_cut)
    seen = [message for message in world.recorder.seen if message.start[1] != b"/canary"]
    assert [message.start for message in seen] == [(wanted.method, wanted.target) for wanted in expected]
    for message, wanted in zip(seen, expected, strict=True):
        wanted.check(message)


async def _canary(line: Line) -> None:
    line.send(CANARY)
    answer = await line.answer()
    assert (answer.status, answer.reason, answer.body) == (200, "", b"ok")
    assert line.raw[line.position :] == b""


async def _tunnelled(world: World, line: Line, sent: bytes) -> None:
    """What stands behind the switch is the tunnel's, never a request."""
    connection = next(found for found in world.recorder.connections if found.tunnel is not None)
    line.send(b"end")
    async with asyncio.timeout(PATIENCE_S):
        while not (connection.tunnel or b"").endswith(b"end"):
            world.recorder.news.clear()
            await world.recorder.news.wait()
    assert connection.tunnel == sent + b"end"
    connection.close()
    await line.over()
