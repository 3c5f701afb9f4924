"""`kubectl port-forward`: connections to ports of a pod, over SPDY (raw or in a WebSocket) or WebSocket channels.

The server connects to the pod's address itself, as it does for the proxy subresource. Each forwarded connection is two
streams, data and error; an error ends its own connection only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
from aiohttp import web

from cluster.api import status
from cluster.api.byte_streams import SEND_TIMEOUT_S, Bytes, Upgraded, WebSocketBytes, is_upgrade, keep_alive, upgrade
from cluster.api.spdy import SpdyError
from cluster.api.spdy_streams import Stream, Streams
from tidegate.process import tasks

SPDY_PROTOCOL = "portforward.k8s.io"
TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
CHANNEL_PROTOCOLS = ("v4.channel.k8s.io",)
CONNECT_TIMEOUT_S = 5.0
READ_BYTES = 64 << 10
CONNECTIONS_LIMIT = 256


class End(Protocol):
    """One end of a forwarded connection."""

    async def read(self) -> bytes: ...
    async def write(self, content: bytes) -> None: ...


async def serve(request: web.Request, address: str) -> web.StreamResponse:
    """Forward for one client until it leaves; raises `ApiError` for a request that is no upgrade."""
    keep_alive(request)
    if is_upgrade(request):
        connection = upgrade(request, SPDY_PROTOCOL)
        try:
            await _spdy(connection, address)
        finally:
            await connection.close()
        return Upgraded()
    socket = web.WebSocketResponse(protocols=(TUNNEL_PROTOCOL, *CHANNEL_PROTOCOLS), max_msg_size=4 << 20)
    if not socket.can_prepare(request).ok:
        raise status.bad_request("Upgrade request required")
    await socket.prepare(request)
    if socket.ws_protocol == TUNNEL_PROTOCOL:
        await _spdy(WebSocketBytes(socket), address)
    else:
        await _channels(socket, address, [int(port) for port in request.query.getall("ports", []) if port.isdigit()])
    await socket.close()
    return socket


async def _spdy(connection: Bytes, address: str) -> None:
    streams = Streams(connection)
    errors: dict[str, Stream] = {}
    running: set[asyncio.Task[None]] = set()
    try:
        async for stream in streams.opened():
            request_id = stream.headers.get("requestid", "")
            if stream.headers.get("streamtype") == "error":
                if len(errors) < CONNECTIONS_LIMIT:
                    errors[request_id] = stream
            elif (error := errors.pop(request_id, None)) is not None:
                port = stream.headers.get("port", "")
                task = tasks.spawn(_forward_stream(streams, stream, error, address, port), f"port-forward-{port}")
                running.add(task)
                task.add_done_callback(running.discard)
    except (SpdyError, ConnectionError, TimeoutError):
        pass  # the client left, or speaks something else: there is nobody to tell
    finally:
        await tasks.cancel(*running)


async def _forward_stream(streams: Streams, data: Stream, error: Stream, address: str, port: str) -> None:
    try:
        if problem := await _forward(data, address, port):
            await error.write(problem.encode())
        await data.end()
        await error.end()
    except (ConnectionError, TimeoutError):
        pass  # the client left
    finally:
        streams.forget(data, error)


async def _forward(end: End, address: str, port: str) -> str:
    """Copy between a client's end and the pod's port until one side is done; return what went wrong."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, int(port))
    except (OSError, TimeoutError, ValueError) as error:
        return f"an error occurred forwarding to port {port}: {error or 'no connection in time'}"
    try:
        up = tasks.spawn(_upwards(end, writer), "port-forward-up")
        try:
            await _downwards(reader, end.write)
        finally:
            await tasks.cancel(up)
    finally:
        writer.close()
    return ""


async def _upwards(end: End, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await end.read():
            writer.write(content)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, TimeoutError):
        writer.close()


async def _downwards(reader: asyncio.StreamReader, write: Callable[[bytes], Awaitable[None]]) -> None:
    try:
        while content := await reader.read(READ_BYTES):
            await write(content)
    except ConnectionError:
        return


class _Channel:
    """The data channel of one port of a WebSocket in channel form."""

    def __init__(self, socket: web.WebSocketResponse, number: int) -> None:
        self._socket, self._number = socket, number
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue(16)

    async def read(self) -> bytes:
        return await self.incoming.get()

    async def write(self, content: bytes) -> None:
        await self._socket.send_bytes(bytes([self._number]) + content)


async def _channels(socket: web.WebSocketResponse, address: str, ports: list[int]) -> None:
    """Two channels a port, data and error; each begins with the port's number in two bytes."""
    channels = [_Channel(socket, 2 * index) for index in range(len(ports[: CONNECTIONS_LIMIT // 2]))]
    running = []
    for index, (channel, port) in enumerate(zip(channels, ports, strict=False)):
        for number in (2 * index, 2 * index + 1):
            await socket.send_bytes(bytes([number]) + port.to_bytes(2, "little"))
        running.append(tasks.spawn(_forward_channel(socket, channel, 2 * index + 1, address, port), f"port-{port}"))
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data:
                number = message.data[0]
                if number % 2 == 0 and number // 2 < len(channels):
                    await channels[number // 2].incoming.put(message.data[1:])
    finally:
        await tasks.cancel(*running)


async def _forward_channel(
    socket: web.WebSocketResponse, channel: _Channel, error_channel: int, address: str, port: int
) -> None:
    try:
        if problem := await _forward(channel, address, str(port)):
            await socket.send_bytes(bytes([error_channel]) + problem.encode())
    except (ConnectionError, TimeoutError):
        pass  # the client left
