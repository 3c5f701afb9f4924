"""The listening end of the engine: accepts connections, counts, drains. What a request does is `exchange`'s.

One server serves one event loop and one director; several may share a `Pool` of that loop.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from tidegate.wire import header_rules
from tidegate.wire.client_side import ClientConnection
from tidegate.wire.crowd import Crowd
from tidegate.wire.deadlines import Deadlines
from tidegate.wire.director import Director, Request
from tidegate.wire.h2_client_side import ClientSession
from tidegate.wire.limits import Limits, ServerTimers
from tidegate.wire.outbox import Outbox
from tidegate.wire.own_answers import OwnAnswerLog
from tidegate.wire.pool import Pool
from tidegate.wire.tls_listener import TlsListener

BACKLOG = 4096
READ_TURNS = 2
"""Turns of the loop after which what has arrived before them is read."""


@dataclass(slots=True)
class Counters:
    """Running totals of one server.

    `answers`: answers made here, by reason code (empty: probes). `floods`: HTTP/2 floods, by kind of frame.
    """

    requests: int = 0
    connections: int = 0
    connections_open: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    retries: int = 0
    tunnels: int = 0
    clients_stalled: int = 0
    connections_refused: int = 0
    h2_connections: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    floods: dict[str, int] = field(default_factory=dict)

    def answered(self, reason: str) -> None:
        """Count an answer made here."""
        self.answers[reason] = self.answers.get(reason, 0) + 1

    def flooded(self, kind: str) -> None:
        """Count an HTTP/2 peer that sent too much of one kind, or did not take its answer."""
        self.floods[kind] = self.floods.get(kind, 0) + 1


class Server:
    """A server for HTTP/1.1, and for HTTP/2 by prior knowledge, whose every request goes where its director says."""

    def __init__(
        self, director: Director, pool: Pool, limits: Limits | None = None, timers: ServerTimers | None = None
    ) -> None:
        self.director = director
        self.pool = pool
        self.limits = limits or Limits()
        self.timers = timers or ServerTimers()
        self.counters = Counters()
        self.request_kinds = header_rules.request_kinds(director.strip_request, director.strip_request_prefixes)
        self.is_draining = False
        self.port = 0
        self.in_flight = 0
        self.crowd = Crowd(self.limits.connections or _descriptor_share(), self.limits.connections_per_peer)
        """Whose room is whose process's: servers of one process share one."""
        self.deadlines: Deadlines
        self.outbox: Outbox
        self._connections: set[ClientConnection | ClientSession] = set()
        self._own_answers = OwnAnswerLog()
        self._listener: asyncio.Server | TlsListener | None = None
        self.changed: asyncio.Event | None = None

    async def start(self, host: str, port: int, *, reuse_port: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """Listen; port 0 takes a free one, found in `port` afterwards. Raises OSError when it cannot.

        With `tls` clients speak TLS; a handshake may take as long as a head, and has a place among the connections.
        """
        loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(loop, self.timers.resolution_s)
        self.outbox = Outbox(loop)
        self._listener = await self._listen(host, port, reuse_port=reuse_port, tls=tls)
        listener: Any = self._listener  # uvloop's sockets are a list, asyncio's a tuple
        self.port = listener.sockets[0].getsockname()[1]

    async def _listen(
        self, host: str, port: int, *, reuse_port: bool, tls: ssl.SSLContext | None
    ) -> asyncio.Server | TlsListener:
        if tls is not None:
            listener = TlsListener(self, tls)
            await listener.open(host, port, BACKLOG, reuse_port=reuse_port)
            return listener
        return await asyncio.get_running_loop().create_server(
            lambda: cast(asyncio.Protocol, ClientConnection(self)),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=reuse_port or None,
        )

    @property
    def listeners(self) -> list[int]:
        """The descriptors that are listened on."""
        opened: Any = self._listener
        return [one.fileno() for one in opened.sockets] if opened is not None else []

    def announce_end(self) -> None:
        """Go on accepting and answering, but make each answer of HTTP/1.1 the last one of its connection.

        So busy clients learn it from an answer, and do not send a request into a connection that is being closed.
        """
        self.is_draining = True

    def stop_listening(self) -> None:
        """Accept nothing more from now on; what is open goes on."""
        if self._listener is not None:
            self._listener.close()

    async def drain(self, deadline_s: float, only_tunnels_left: Callable[[], None] | None = None) -> bool:
        """Stop accepting, let requests in flight end for up to `deadline_s` seconds, close; True when all ended.

        `only_tunnels_left` is called once, when nothing but open tunnels is in flight any more or time is up: a tunnel
        may last for ever, so whoever is at its other end must be told.
        """
        self.is_draining = True
        self.stop_listening()
        # What has arrived is read first: until then its connection looks idle, and would be closed under its request.
        for _ in range(READ_TURNS):
            await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.drain()
        until = time.monotonic() + deadline_s
        if only_tunnels_left is not None:
            await self._wait(until, lambda: self.in_flight <= self.open_tunnels)
            only_tunnels_left()
        ended = await self._wait(until, lambda: self.in_flight == 0)
        # Answers may still sit in our buffers and heads may be on their way: they get a short while more.
        shortly = min(until, time.monotonic() + self.timers.linger_s)
        await self._wait(shortly, lambda: self.in_flight == 0 and not self._connections and not self._is_shaking)
        ended = ended and self.in_flight == 0
        await self.close()
        return ended

    async def close(self) -> None:
        """Close everything now; requests in flight end as DRAINED."""
        self.is_draining = True
        if self._listener is not None:
            self._listener.close()
            if isinstance(self._listener, TlsListener):
                self._listener.abort()
        for connection in list(self._connections):
            connection.end_now()
        # Held awaitables are cancelled by now; they and the transports end in the next turns of the loop.
        for turn in range(20):
            if not self.in_flight and not self._connections and not self._is_shaking:
                break
            if turn == 5:
                for connection in list(self._connections):
                    connection.transport.abort()
            await asyncio.sleep(0)
        self._listener = None
        self.deadlines.close()

    async def _wait(self, until: float, condition: Callable[[], bool]) -> bool:
        """Wait for the condition, asked again whenever a request or a connection ends, until a monotonic time."""
        self.changed = asyncio.Event()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                while not condition():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

    @property
    def _is_shaking(self) -> bool:
        return isinstance(self._listener, TlsListener) and self._listener.is_shaking

    @property
    def open_tunnels(self) -> int:
        """How many connections are tunnels; counted when asked, which is at the end."""
        return sum(isinstance(one, ClientConnection) and one.is_tunnel for one in self._connections)

    def tunnel_opened(self) -> None:
        """Count a request that has become a tunnel."""
        self.counters.tunnels += 1
        if self.changed is not None:
            self.changed.set()

    def answered(self, reason: str, status: int, request: Request | None, peer: str) -> None:
        """Count and log an answer made here; `request` is None when its head was refused."""
        self.counters.answered(reason)
        self._own_answers.add(reason, status, request, peer)

    def connection_opened(self, connection: ClientConnection | ClientSession) -> None:
        """Count a new connection."""
        self._connections.add(connection)
        self.counters.connections += 1
        self.counters.connections_open += 1

    def becomes_h2(self, connection: ClientConnection, peer: str) -> ClientSession:
        """Hand a connection over that began with the preface of HTTP/2; it counts as one."""
        self._connections.discard(connection)
        self.counters.connections -= 1
        self.counters.connections_open -= 1
        self.counters.h2_connections += 1
        self.deadlines.forget(connection)
        return ClientSession(self, connection.transport, peer)

    def connection_lost(self, connection: ClientConnection | ClientSession) -> bool:
        """Forget a connection that is gone; whether it was known."""
        is_known = connection in self._connections
        if is_known:
            self._connections.discard(connection)
            self.counters.connections_open -= 1
            self.deadlines.forget(connection)
            if self.changed is not None:
                self.changed.set()
        return is_known


def _descriptor_share() -> int:
    """Return how many connections of clients leave descriptors enough for upstreams and files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft * 9 // 10
