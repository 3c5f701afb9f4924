"""Faults on command between a client and a server, for tests: a TCP proxy on loopback that delays, drops and cuts.

It passes bytes on unread, so TLS and every protocol work through it. Faults are fields that a test sets at any time;
they hold for connections that are open and for those to come until `heal`. What it cannot do: lose or reorder single
packets (TCP hides those anyway), or fail a server's disk; processes are killed by the tests that started them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 << 10
CONNECT_TIMEOUT_S = 5.0
# Closing with this set sends a reset at once instead of what is still unsent.
_LINGER_NOT = struct.pack("ii", 1, 0)


class FaultProxy:
    """A proxy to one server; `port` is where clients connect. Use as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        # Where it stands
        self.port = 0
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._healed = asyncio.Event()
        # Faults in force
        self.delay_s = 0.0
        self.refuses = False
        self.answer_limit_bytes: int | None = None
        # What happened
        self.accepted = 0
        self.cut_connections = 0
        self.heal()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.cut()
        await self._server.wait_closed()

    # Commands

    def heal(self) -> None:
        """End every fault; what `stall` held back goes on its way."""
        self.delay_s, self.refuses, self.answer_limit_bytes = 0.0, False, None
        self._healed.set()

    def stall(self) -> None:
        """Hold back every byte in both directions while connections stay open, as a dead network does."""
        self._healed.clear()

    def cut(self) -> int:
        """Reset every open connection now; return how many there were."""
        writers, self._open = self._open, set()
        for writer in writers:
            _reset(writer)
        cut = len(writers) // 2
        self.cut_connections += cut
        return cut

    # Connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuses:
            _reset(writer)
            return
        try:
            upstream = await asyncio.wait_for(asyncio.open_connection(*self._target), CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError):
            _reset(writer)
            return
        writers = {writer, upstream[1]}
        self._open |= writers
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, upstream[1], lambda: None))
                both.create_task(self._pump(upstream[0], writer, lambda: self.answer_limit_bytes))
        except* OSError:
            pass  # a side went away, or was sent away
        finally:
            self._open -= writers
            for one in writers:
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit_bytes: Callable[[], int | None]
    ) -> None:
        passed = 0
        while chunk := await reader.read(CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._healed.wait()
            limit = limit_bytes()
            if limit is not None and passed + len(chunk) >= limit:
                writer.write(chunk[: max(limit - passed, 0)])
                await writer.drain()
                self.cut_connections += 1
                raise ConnectionResetError
            passed += len(chunk)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()
