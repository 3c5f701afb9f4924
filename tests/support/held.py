"""Requests that are in flight for as long as a test wants, by the example `echo`: no clock says how long they take.

Whatever stalls, a client, a hop or the whole machine: so many are in flight, not one more or fewer, until the block
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

TIMEOUT_S = 90.0
PIECE = b"4\r\nhold\r\n"


@contextlib.asynccontextmanager
async def held(port: int, host: str, count: int) -> AsyncIterator[None]:
    """Hold `count` requests in an `echo` behind 127.0.0.1:`port`; all of them must end well when the block ends."""
    async with contextlib.AsyncExitStack() as stack:
        streams = await asyncio.gather(*(_begin(port, host, stack) for _ in range(count)))
        yield
        await asyncio.gather(*(_end(*each) for each in streams))


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _begin(port: int, host: str, stack: contextlib.AsyncExitStack) -> Streams:
    """Send a head and the first piece of a body; return once the app has sent the piece back."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        head = f"POST /duplex HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + PIECE)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert await reader.readexactly(len(PIECE)) == PIECE
    return reader, writer


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the last piece; the app then ends its answer."""
    async with asyncio.timeout(TIMEOUT_S):
        writer.write(b"0\r\n\r\n")
        rest = await reader.readuntil(b"\r\n\r\n")
        assert rest.startswith(b"0\r\n"), rest
