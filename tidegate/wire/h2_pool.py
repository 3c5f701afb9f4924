"""HTTP/2 connections to upstreams: few per address, each with many streams, opened once for all who wait for one.

A connection is used only after the peer's SETTINGS: then it is known to speak HTTP/2 and how many streams it takes.
What is sent over a stream is `h2_upstream`'s.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from tidegate.wire.deadlines import NEVER, Deadlines
from tidegate.wire.h2_upstream import UpstreamSession, UpstreamStream
from tidegate.wire.header_rules import HeaderKinds
from tidegate.wire.limits import Limits
from tidegate.wire.upstream_tls import UpstreamTls

Key = tuple[str, int, UpstreamTls | None]


class StreamPool:
    """Connections by host, port and kind of TLS (None: clear text). One pool serves one event loop."""

    def __init__(
        self,
        *,
        idle_timeout_s: float,
        connect_timeout_s: float,
        limits: Limits,
        answer_kinds: HeaderKinds,
        on_refused: Callable[[Key, ssl.SSLError], None] = lambda _key, _error: None,
    ) -> None:
        self.idle_timeout_s = idle_timeout_s
        self.connect_timeout_s = connect_timeout_s
        self.limits = limits
        self.answer_kinds = answer_kinds
        self.connects = 0
        self.tls_connects = 0
        self._on_refused = on_refused
        self.closed = False
        self._usable: dict[Key, list[UpstreamSession]] = {}
        self._connecting: dict[Key, asyncio.Task[None]] = {}
        self.sessions: set[UpstreamSession] = set()
        self._deadlines: Deadlines | None = None

    @property
    def open_count(self) -> int:
        """How many connections are open."""
        return len(self.sessions)

    def take(self, host: str, port: int, tls: UpstreamTls | None = None) -> UpstreamStream | None:
        """Reserve a stream on an open connection, None when there is none with room."""
        for session in self._usable.get((host, port, tls), ()):
            if session.has_room:
                return session.stream()
        return None

    async def connect(self, host: str, port: int, tls: UpstreamTls | None = None) -> UpstreamStream:
        """Reserve a stream as soon as a connection has room; raises OSError. The caller bounds the time."""
        key = (host, port, tls)
        while (stream := self.take(host, port, tls)) is None:
            task = self._connecting.get(key)
            if task is None:
                task = asyncio.get_running_loop().create_task(self._connect(key), name="wire-connect")
                self._connecting[key] = task
                task.add_done_callback(lambda ended: self._connected(key, ended))
            await asyncio.shield(task)
        return stream

    def give(self, stream: UpstreamStream, now: float) -> None:
        """Take a reserved stream back that nobody wants any more."""
        stream.close()

    async def _connect(self, key: Key) -> None:
        session = UpstreamSession(self, key)
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                await self._open(session, key)
                await session.settled
        except BaseException as error:
            session.abandon()
            if isinstance(error, ssl.SSLError):
                self._on_refused(key, error)
            raise
        if self.closed:
            session.abandon()
            raise ConnectionAbortedError("the pool is closed")
        if not session.has_room:  # who waits would open one connection after the other
            session.abandon()
            raise ConnectionRefusedError("the upstream takes no streams")
        self._usable.setdefault(key, []).append(session)
        self._file(session)

    async def _open(self, session: UpstreamSession, key: Key) -> None:
        loop, (host, port, tls) = asyncio.get_running_loop(), key
        if tls is None:
            self.connects += 1
            await loop.create_connection(lambda: cast(asyncio.Protocol, session), host, port)
        else:
            self.tls_connects += 1
            options = tls.options(is_http2=True)
            await loop.create_connection(lambda: cast(asyncio.Protocol, session), host, port, **options)

    def _connected(self, key: Key, task: asyncio.Task[None]) -> None:
        self._connecting.pop(key, None)
        if not task.cancelled():
            task.exception()  # who waits for it sees it; when all have left nobody does

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        for task in list(self._connecting.values()):
            task.cancel()
        for session in list(self.sessions):
            session.abandon()
        self._usable.clear()
        if self._deadlines is not None:
            self._deadlines.close()

    def close_idle(self, host: str, port: int, tls: UpstreamTls | None = None) -> None:
        """Let the connections of an upstream that was ejected or left end with their last stream."""
        for session in self._usable.pop((host, port, tls), ()):
            session.shut()

    # --- called by the sessions ---

    def opened(self, session: UpstreamSession) -> None:
        """Note a new connection."""
        self.sessions.add(session)

    def leaves(self, session: UpstreamSession) -> None:
        """Offer this connection no more: its peer goes away."""
        sessions = self._usable.get(session.key)
        if sessions is not None and session in sessions:
            sessions.remove(session)
            if not sessions:
                del self._usable[session.key]

    def lost(self, session: UpstreamSession) -> None:
        """Drop a connection that is gone."""
        self.sessions.discard(session)
        self.leaves(session)
        if self._deadlines is not None:
            self._deadlines.forget(session)

    def idle(self, session: UpstreamSession) -> None:
        """Watch a connection whose last stream has ended."""
        if session in self.sessions and not session.is_lost:
            self._file(session)

    def _file(self, session: UpstreamSession) -> None:
        deadline = session.next_deadline()
        if deadline == NEVER or session.filed_until != NEVER:
            return  # asked again later anyway: it is filed at most once per idle time
        if self._deadlines is None:
            self._deadlines = Deadlines(asyncio.get_running_loop(), resolution_s=0.5)
        self._deadlines.watch(session, deadline)
