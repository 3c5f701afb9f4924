"""Small TCP servers for tests: every connection is closed when the block ends, so nothing leaks into the next test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tidegate.process import tasks

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Run `serve` for each connection; yields the port."""
    running: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await serve(reader, writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = tasks.spawn(one(reader, writer), "test-connection")
        running.add(task)
        task.add_done_callback(running.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    server = await asyncio.start_server(connected, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await _accept_no_more(server)
        server.close()
        await tasks.cancel(*running)
        await asyncio.sleep(0)


async def _accept_no_more(server: asyncio.Server) -> None:
    """Let connections that are accepted already get their transport: a closed server gives none (cpython 109564), and
    whichever test comes next is told of the socket."""
    for one in server.sockets:
        asyncio.get_running_loop().remove_reader(one.fileno())
    for _ in range(3):
        await asyncio.sleep(0)
