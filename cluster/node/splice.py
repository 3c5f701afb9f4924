"""Carries TCP connections from an address of ours to one of several targets, byte for byte.

A connection that cannot be made to one target is tried on the next; what a finished peer still has to send is
flushed; the number of connections is bounded. It knows neither Services nor pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from tidegate.process import tasks

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2.0
CONNECTIONS_LIMIT = 2048
CHUNK_BYTES = 64 << 10
BIND_RETRY_S = 1.0
LINGER_S = 10.0

Address = tuple[str, int]
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Targets = Callable[[], list[Address]]
"""Called once per connection; gives the targets in the order in which to try them."""


class Splicer:
    """All spliced connections of the node."""

    def __init__(self, limit: int = CONNECTIONS_LIMIT) -> None:
        self._places = asyncio.Semaphore(limit)
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, address: Address, targets: Targets) -> None:
        """Accept on `address` until cancelled; a taken address is tried again, for its last owner may be leaving."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = tasks.spawn(self._serve(targets, (reader, writer)), "splice")
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            # A task cancelled before its first step has no `finally` of its own.
            task.add_done_callback(lambda _: writer.transport.abort())

        while True:
            try:
                server = await asyncio.start_server(accept, *address)
            except OSError as error:
                log.warning("cannot listen on %s:%d: %s", *address, error)
                await asyncio.sleep(BIND_RETRY_S)
                continue
            try:
                async with server:
                    await server.serve_forever()
            finally:
                server.close()

    async def close(self) -> None:
        """End all connections."""
        await tasks.cancel(*self._connections)

    async def _serve(self, targets: Targets, client: Pair) -> None:
        if self._places.locked():
            return
        async with self._places:
            upstream = await _connect(targets())
            if upstream is None:
                return
            try:
                await _both_ways(client, upstream)
                await _flush(client[1])
            finally:
                upstream[1].transport.abort()


async def _connect(targets: list[Address]) -> Pair | None:
    for host, port in targets:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_connection(host, port)
    return None


async def _both_ways(client: Pair, upstream: Pair) -> None:
    for _, writer in (client, upstream):
        if (raw := writer.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    outward = tasks.spawn(_copy(client[0], upstream[1]), "splice-out")
    try:
        # Once the upstream has finished, what the client may still send has no reader.
        await _copy(upstream[0], client[1])
    finally:
        await tasks.cancel(outward)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Let the client have what is still buffered."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await writer.wait_closed()
