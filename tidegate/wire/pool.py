"""Keep-alive connections to upstreams: the one used last is used next, a bounded number waits, and none waits for long.

The pool connects and keeps; what is sent over a connection is `upstream_side`'s. A connection that the peer closes
while it waits leaves the pool at once, so that few requests meet a stale one. HTTP/2 connections are `h2_pool`'s.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import cast

from tidegate.wire.deadlines import NEVER, Deadlines
from tidegate.wire.h2_pool import Key, StreamPool
from tidegate.wire.header_rules import answer_kinds
from tidegate.wire.limits import Limits
from tidegate.wire.upstream_side import UpstreamConnection
from tidegate.wire.upstream_tls import UpstreamTls

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 10.0


class Pool:
    """Connections by host, port and kind of TLS (None: clear text). One pool serves one event loop.

    `strip_answer_prefixes`: lower-case prefixes of header names that these upstreams may not say to clients.
    """

    def __init__(
        self,
        *,
        max_idle_per_upstream: int = 1024,
        idle_timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        limits: Limits | None = None,
        strip_answer_prefixes: tuple[bytes, ...] = (),
    ) -> None:
        self.max_idle_per_upstream = max_idle_per_upstream
        self.idle_timeout_s = idle_timeout_s
        self.connect_timeout_s = connect_timeout_s
        self.limits = limits or Limits()
        self.answer_kinds = answer_kinds(strip_answer_prefixes)
        self.streams = StreamPool(
            idle_timeout_s=idle_timeout_s,
            connect_timeout_s=connect_timeout_s,
            limits=self.limits,
            answer_kinds=self.answer_kinds,
            on_refused=self.refused,
        )
        self.connects = 0
        self.tls_connects = 0
        self.certificates_refused = 0
        self._reported_at = -REPORT_EVERY_S
        self.reuses = 0
        self.closed = False
        self._idle: dict[Key, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()
        self._deadlines: Deadlines | None = None

    @property
    def idle_count(self) -> int:
        """How many connections wait."""
        return sum(len(waiting) for waiting in self._idle.values())

    @property
    def open_count(self) -> int:
        """How many connections are open, waiting or in use."""
        return len(self._open) + self.streams.open_count

    def take(
        self, host: str, port: int, probe: bool = False, tls: UpstreamTls | None = None
    ) -> UpstreamConnection | None:
        """Return the connection used last, or None when one must be made.

        With `probe` the kernel is asked whether the peer has closed it meanwhile: worth a system call for a request
        that must not be repeated.
        """
        waiting = self._idle.get((host, port, tls))
        while waiting:
            connection = waiting.pop()
            if connection.is_lost:
                continue
            if probe and connection.has_input():
                connection.abort()
            else:
                self.reuses += 1
                return connection
        return None

    async def connect(self, host: str, port: int, tls: UpstreamTls | None = None) -> UpstreamConnection:
        """Open a new connection, with its handshake; raises OSError (`ssl.SSLError` too).

        The caller bounds the time.
        """
        loop = asyncio.get_running_loop()
        connection = UpstreamConnection(self, (host, port, tls))
        try:
            if tls is None:
                self.connects += 1
                await loop.create_connection(lambda: cast(asyncio.Protocol, connection), host, port)
            else:
                self.tls_connects += 1
                await loop.create_connection(lambda: cast(asyncio.Protocol, connection), host, port, **tls.options())
        except BaseException as error:
            connection.abandon()
            if isinstance(error, ssl.SSLError):
                self.refused((host, port, tls), error)
            raise
        return connection

    def refused(self, key: Key, error: ssl.SSLError) -> None:
        """Count an upstream whose certificate or handshake was refused, and say so now and then."""
        self.certificates_refused += 1
        now = time.monotonic()
        if now - self._reported_at >= REPORT_EVERY_S:
            self._reported_at = now
            name = "" if key[2] is None else key[2].server_name
            logger.warning("no TLS with %s:%d, which should be %s: %s", key[0], key[1], name, error)

    def give(self, connection: UpstreamConnection, now: float) -> None:
        """Keep a connection whose answer ended well, or close it when enough wait."""
        waiting = self._idle.get(connection.key)
        if waiting is None:
            waiting = self._idle[connection.key] = []
        if self.closed or len(waiting) >= self.max_idle_per_upstream:
            connection.close()
            return
        connection.idle_since = now
        waiting.append(connection)
        if connection.filed_until == NEVER and self.idle_timeout_s:
            self._watch(connection)

    def close_idle(self, host: str, port: int, tls: UpstreamTls | None = None) -> None:
        """Close the waiting connections of an upstream that was ejected or left."""
        for connection in self._idle.pop((host, port, tls), ()):
            connection.close()
        self.streams.close_idle(host, port, tls)

    async def close(self) -> None:
        """Close every connection, waiting or in use."""
        self.closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
        await self.streams.close()
        if self._deadlines is not None:
            self._deadlines.close()
        await asyncio.sleep(0)  # let the transports call connection_lost

    # --- called by the connections ---

    def opened(self, connection: UpstreamConnection) -> None:
        """Note a new connection."""
        self._open.add(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Drop a connection that is gone."""
        self._open.discard(connection)
        if self._deadlines is not None:
            self._deadlines.forget(connection)
        waiting = self._idle.get(connection.key)
        if waiting is not None:
            if connection in waiting:
                waiting.remove(connection)
            if not waiting:
                self._idle.pop(connection.key, None)

    def idle_deadline(self, connection: UpstreamConnection) -> float:
        """Return when this connection has waited long enough; `NEVER` for one in use."""
        if connection.exchange is not None or not self.idle_timeout_s:
            return NEVER
        return connection.idle_since + self.idle_timeout_s

    def _watch(self, connection: UpstreamConnection) -> None:
        if self._deadlines is None:
            self._deadlines = Deadlines(asyncio.get_running_loop(), resolution_s=0.5)
        self._deadlines.watch(connection, self.idle_deadline(connection))
