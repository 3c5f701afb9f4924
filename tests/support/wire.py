"""A running engine between a raw client and a scripted upstream, on real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request, Timeouts
from tidegate.wire.limits import Limits, ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server

PATIENCE_S = 30.0
"""How long a test waits for what must happen: a machine under load is slow, not wrong."""

Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One socket in the hand of a test: what arrives, what is sent, without any HTTP of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def flush(self) -> None:
        await asyncio.wait_for(self.writer.drain(), PATIENCE_S)

    async def head(self, patience_s: float | None = PATIENCE_S) -> bytes:
        """Read to the blank line; None: however long nothing comes, as between two requests."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), patience_s)

    async def exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), PATIENCE_S)

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), PATIENCE_S)

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)

    async def answer(self, *, to_head: bool = False) -> WireAnswer:
        """Read one answer with its body."""
        head = await self.head()
        answer = WireAnswer(int(head.split()[1]), head)
        if to_head or answer.status < 200 or answer.status in (204, 304):
            return answer
        length = answer.header("content-length")
        if length is not None:
            answer.body = await self.exactly(int(length))
        elif answer.header("transfer-encoding") == "chunked":
            while size := int(await self.until(b"\r\n"), 16):
                chunk = await self.exactly(size + 2)
                answer.chunks.append(chunk[:-2])
            answer.trailers = await self.until(b"\r\n")
            while not (answer.trailers == b"\r\n" or answer.trailers.endswith(b"\r\n\r\n")):
                answer.trailers += await self.until(b"\r\n")
            answer.body = b"".join(answer.chunks)
        else:
            answer.body = await self.rest()
        return answer

    async def gone(self) -> None:
        """Wait until the other side has closed, however it did."""
        try:
            await self.rest()
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        endpoint = self.writer.get_extra_info("socket")
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class WireAnswer:
    status: int
    head: bytes
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: bytes = b""

    def header(self, name: str) -> str | None:
        match = re.search(rf"^{name}:[ \t]*(.*?)\r$", self.head.decode("latin-1"), re.IGNORECASE | re.MULTILINE)
        return match[1] if match else None

    @property
    def reason(self) -> str | None:
        return self.header("x-tidegate-reason")


class ScriptedUpstream:
    """Accepts connections and runs a script on each; remembers them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.peers: list[Peer] = []
        self.heads: list[bytes] = []
        self.errors: list[BaseException] = []
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            await self.handler(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=PATIENCE_S)
        assert self.errors == []


def answering(answer: bytes, *, close: bool = False) -> Handler:
    """Script: the same answer to every request without a body."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.head(None)
            peer.send(answer)
            if close:
                await peer.flush()
                return

    return handler


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RecordingDirector:
    """Directs by a function and counts every call; `outcomes` has what `finished` was told."""

    def __init__(self, direct: Callable[[Request], Any]) -> None:
        self.strip_request: frozenset[bytes] = frozenset({b"x-secret"})
        self.strip_request_prefixes: tuple[bytes, ...] = (b"k-", b"x-inside-")
        self._direct = direct
        self.on_retry: Callable[[Request, Relay, Failure], Any] = lambda request, failed, failure: Answer(
            503, "no_activator", b"no pods"
        )
        self.requests: list[Request] = []
        self.retries: list[Failure] = []
        self.outcomes: list[Outcome] = []
        self._finished_ids: list[int] = []
        self.ended = asyncio.Event()

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        self.requests.append(request)
        return self._direct(request)

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction | Awaitable[Direction]:
        self.retries.append(failure)
        return self.on_retry(request, failed, failure)

    def finished(self, request: Request, outcome: Outcome) -> None:
        assert any(request is known for known in self.requests)
        self.outcomes.append(outcome)
        self._finished_ids.append(id(request))
        self.ended.set()

    async def all_finished(self) -> None:
        """Wait until every directed request has finished."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.outcomes) < len(self.requests):
                self.ended.clear()
                await self.ended.wait()

    def check(self) -> None:
        """Assert the invariant: exactly one `finished` for each `direct`."""
        assert len(self._finished_ids) == len(self.requests)
        assert sorted(self._finished_ids) == sorted(id(request) for request in self.requests)


@dataclass
class Rig:
    server: Server
    pool: Pool
    director: RecordingDirector
    upstream: ScriptedUpstream
    clients: list[Peer] = field(default_factory=list)

    async def client(self) -> Peer:
        peer = await Peer.connect(self.server.port)
        self.clients.append(peer)
        return peer

    async def ask(self, request: bytes, *, to_head: bool = False) -> WireAnswer:
        """Send one request on a new connection and read its answer."""
        client = await self.client()
        client.send(request)
        return await client.answer(to_head=to_head)

    def pass_time(self, seconds: float) -> None:
        """Let those timers of the server fire that are due within so many seconds; nobody waits for them.

        So a timer that must not fire before something has happened is set to a minute, and no stall of the machine
        turns the order round.
        """
        now, deadlines = time.monotonic, self.server.deadlines
        with mock.patch.object(time, "monotonic", lambda: now() + seconds):
            if deadlines._timer is not None:
                deadlines._timer.cancel()
            deadlines._tick()


@asynccontextmanager
async def rig(
    handler: Handler | None = None,
    *,
    direct: Callable[[Request, int], Any] | None = None,
    limits: Limits | None = None,
    timers: ServerTimers | None = None,
    relay: dict[str, Any] | None = None,
    pool_options: dict[str, Any] | None = None,
) -> AsyncIterator[Rig]:
    """Run upstream, pool and server; afterwards assert that nothing is left of any of them."""
    upstream = ScriptedUpstream(handler or answering(OK))
    await upstream.start()

    def directed(request: Request) -> Any:
        if direct is not None:
            return direct(request, upstream.port)
        patient = {"timeouts": Timeouts(connect_s=PATIENCE_S)}
        return Relay("127.0.0.1", upstream.port, **(patient | (relay or {})))

    director = RecordingDirector(directed)
    pool = Pool(limits=limits, **(pool_options or {}))
    server = Server(director, pool, limits, timers)
    await server.start("127.0.0.1", 0)
    built = Rig(server, pool, director, upstream)
    try:
        yield built
        for client in built.clients:
            client.close()
        await director.all_finished()
    finally:
        await server.close()
        await pool.close()
        for client in built.clients:
            client.close()
        await upstream.stop()
    director.check()
    assert server.in_flight == 0
    assert pool.idle_count == 0
    await turns_until(lambda: server.counters.connections_open == 0 and pool.open_count == 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "wire-connect"]


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)
