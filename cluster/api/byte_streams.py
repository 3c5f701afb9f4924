"""Two ways in which a client sends bytes of its own protocol in an HTTP request: a raw upgrade, and WebSocket messages.

Both look the same to what runs on them: read some, write some, end. Writing waits for a slow reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

READ_BYTES = 64 << 10
IDLE_TIMEOUT_S = 4 * 3600.0
KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 30,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    # What is sent and not confirmed for so long (ms) ends it as well.
    socket.TCP_USER_TIMEOUT: 60_000,
}
SEND_TIMEOUT_S = 60.0


class Bytes(Protocol):
    """A connection as bytes."""

    async def read(self) -> bytes:
        """Return what came, empty at the end."""
        ...

    async def write(self, content: bytes) -> None:
        """Send; raises `ConnectionError` when nobody reads any more."""
        ...


class WebSocketBytes:
    """Bytes in binary messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """Return the next message, empty at the end."""
        while True:
            message = await self._socket.receive(timeout=IDLE_TIMEOUT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                if message.data:
                    return bytes(message.data)
            elif message.type is not aiohttp.WSMsgType.TEXT:
                return b""

    async def write(self, content: bytes) -> None:
        """Send one message."""
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_bytes(content)


class RawBytes:
    """The connection itself, after an upgrade."""

    def __init__(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(READ_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def read(self) -> bytes:
        """Return what came, empty at the end."""
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                return await self._reader.read(READ_BYTES)
        except (ConnectionError, TimeoutError):
            return b""

    async def write(self, content: bytes) -> None:
        """Send."""
        self._writer.write(content)
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._writer.drain()

    async def close(self) -> None:
        """Send what is left and end."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._writer.drain()
        self._writer.close()


class Upgraded(web.StreamResponse):
    """The answer to an upgrade: written as bytes before, so there is nothing left for the server to write."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


def upgrade(request: web.Request, protocol: str) -> RawBytes:
    """Answer 101 and return the connection; `protocol` is the stream protocol that was agreed on."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client left")
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    transport.write(f"{head}X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode())
    return RawBytes(transport)


def keep_alive(request: web.Request) -> None:
    """Let the kernel notice when the client's machine has gone, within a minute or so: its end answers by itself.

    For streams that last for hours and may be silent all the time (tcp(7)).
    """
    peer = request.transport.get_extra_info("socket") if request.transport is not None else None
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE.items():
        peer.setsockopt(socket.IPPROTO_TCP, option, value)


def is_upgrade(request: web.Request) -> bool:
    """Whether the request asks for a raw upgrade to SPDY."""
    return request.headers.get("Upgrade", "").lower() == "spdy/3.1"
