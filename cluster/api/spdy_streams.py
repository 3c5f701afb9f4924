"""SPDY streams over bytes: what comes is queued per stream, what goes is framed. For exec and port-forward.

A stream whose reader is slow stops the whole connection, as its frames come in order: that is the back-pressure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from cluster.api import spdy
from cluster.api.byte_streams import Bytes

QUEUED_CHUNKS = 16


class Stream:
    """One stream, opened by the client."""

    def __init__(self, streams: Streams, number: int, headers: Mapping[str, str]) -> None:
        self._streams = streams
        self.number = number
        self.headers = headers
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_CHUNKS)
        self.is_reset = False

    async def read(self) -> bytes:
        """Return what came, empty when the client sends no more."""
        return await self.incoming.get()

    async def write(self, content: bytes) -> None:
        """Send; raises `ConnectionError` when the connection is gone."""
        if content and not self.is_reset:
            await self._streams.send(spdy.data(self.number, content))

    async def end(self) -> None:
        """Send no more."""
        if not self.is_reset:
            await self._streams.send(spdy.data(self.number, b"", is_last=True))


class Streams:
    """All streams of one connection."""

    def __init__(self, connection: Bytes) -> None:
        self._connection = connection
        self._spdy = spdy.Connection()
        self._open: dict[int, Stream] = {}
        self._sending = asyncio.Lock()

    async def send(self, frames: bytes) -> None:
        """Send frames, one sender at a time."""
        async with self._sending:
            await self._connection.write(frames)

    async def opened(self) -> AsyncIterator[Stream]:
        """Yield streams as the client opens them, until the connection ends; raises `SpdyError`."""
        try:
            while content := await self._connection.read():
                for event in self._spdy.receive(content):
                    if (stream := await self._handle(event)) is not None:
                        yield stream
        finally:
            for stream in self._open.values():
                stream.is_reset = True
                with contextlib.suppress(asyncio.QueueFull):
                    stream.incoming.put_nowait(b"")

    async def _handle(self, event: spdy.Event) -> Stream | None:
        match event:
            case spdy.Opened(number, headers, is_last):
                stream = self._open[number] = Stream(self, number, headers)
                await self.send(self._spdy.accept(number))
                if is_last:
                    stream.incoming.put_nowait(b"")
                return stream
            case spdy.Received(number, content, is_last):
                if (known := self._open.get(number)) is not None:
                    if content:
                        await known.incoming.put(content)
                    if is_last:
                        await known.incoming.put(b"")
            case spdy.Reset(number):
                if (known := self._open.pop(number, None)) is not None:
                    known.is_reset = True
                    await known.incoming.put(b"")
            case spdy.Pinged(answer):
                await self.send(answer)
        return None

    def forget(self, *streams: Stream) -> None:
        """Drop streams that are over."""
        for stream in streams:
            self._open.pop(stream.number, None)
