"""`kubectl exec`: a client's channels passed on to the pod's node, which runs the command.

Clients speak WebSocket (v4 and v5 of the channel protocol: the first byte of a message is the channel) or SPDY streams
(kubectl before 1.30); the node speaks the WebSocket form only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from aiohttp import web
from yarl import URL

from cluster.api import status
from cluster.api.byte_streams import IDLE_TIMEOUT_S, SEND_TIMEOUT_S, Bytes, Upgraded, is_upgrade, keep_alive, upgrade
from cluster.api.spdy import SpdyError
from cluster.api.spdy_streams import Stream, Streams
from tidegate.process import tasks

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
NODE_PROTOCOL = "v5.channel.k8s.io"
SPDY_PROTOCOL = "v4.channel.k8s.io"
STREAM_CHANNELS = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
MESSAGE_LIMIT_BYTES = 4 << 20
STREAMS_TIMEOUT_S = 30.0
CLIENT_HEARTBEAT_S = NODE_HEARTBEAT_S = 30.0
"""Between two pings to who answers them; without an answer in half that time a peer counts as gone."""


class Channels(Protocol):
    """A client's side of an exec."""

    def messages(self) -> AsyncIterator[bytes]:
        """Yield channel messages until the client has left."""
        ...

    async def send(self, message: bytes) -> None:
        """Send a channel message; raises `ConnectionError`."""
        ...


async def serve(request: web.Request, session: aiohttp.ClientSession, url: URL, token: str) -> web.StreamResponse:
    """Run one exec at the node's `url`; raises `ApiError` before the upgrade only."""
    offered = web.WebSocketResponse(protocols=PROTOCOLS).can_prepare(request)
    is_socket = offered.ok
    if not is_socket and not is_upgrade(request):
        raise status.bad_request("Upgrade request required")
    keep_alive(request)
    # Clients of v4 (the official Python one) may look at their socket when they like, so they are not asked.
    heartbeat_s = CLIENT_HEARTBEAT_S if offered.protocol == PROTOCOLS[0] else None
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=MESSAGE_LIMIT_BYTES, heartbeat=heartbeat_s)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        node = await session.ws_connect(
            url,
            headers=headers,
            protocols=(NODE_PROTOCOL,),
            max_msg_size=MESSAGE_LIMIT_BYTES,
            heartbeat=NODE_HEARTBEAT_S,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise status.bad_request(f"the container cannot run a command: {error.message or error.status}") from error
    except aiohttp.ClientConnectionError as error:
        raise status.internal(f"the node cannot be reached: {error}") from error
    async with node:
        if is_socket:
            await socket.prepare(request)
            await _relay(_SocketChannels(socket), node)
            await socket.close()
            return socket
        connection = upgrade(request, SPDY_PROTOCOL)
        try:
            await _relay_streams(connection, node, _wanted_streams(request))
        finally:
            await connection.close()
        return Upgraded()


async def _relay(client: Channels, node: aiohttp.ClientWebSocketResponse) -> None:
    upwards = tasks.spawn(_upwards(client, node), "exec-up")
    try:
        async for message in node:
            if message.type is aiohttp.WSMsgType.BINARY:
                await client.send(message.data)
    except (ConnectionError, TimeoutError):
        pass  # the client left; the node ends the command when its socket closes
    finally:
        await tasks.cancel(upwards)


async def _upwards(client: Channels, node: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async for message in client.messages():
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await node.send_bytes(message)
    except (ConnectionError, TimeoutError, SpdyError):
        pass
    await node.close()


class _SocketChannels:
    """A client that speaks the node's protocol."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def messages(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._socket.receive(timeout=IDLE_TIMEOUT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                yield message.data
            elif message.type is aiohttp.WSMsgType.TEXT:
                yield message.data.encode()  # as the official Python client sends what is typed
            else:
                return

    async def send(self, message: bytes) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_bytes(message)


# SPDY


def _wanted_streams(request: web.Request) -> int:
    query = request.query
    is_tty = query.get("tty") in ("true", "1")
    wanted = 1 + sum(query.get(name) in ("true", "1") for name in ("stdin", "stdout"))
    return wanted + (1 if is_tty else query.get("stderr") in ("true", "1"))


async def _relay_streams(connection: Bytes, node: aiohttp.ClientWebSocketResponse, wanted: int) -> None:
    client = _StreamChannels(Streams(connection), wanted)
    try:
        await _relay(client, node)
        await client.end()
    except (ConnectionError, TimeoutError):
        pass


class _StreamChannels:
    """A client whose channels are SPDY streams."""

    def __init__(self, streams: Streams, wanted: int) -> None:
        self._streams = streams
        self._wanted = wanted
        self._by_channel: dict[int, Stream] = {}
        self._complete = asyncio.Event()
        self._messages: asyncio.Queue[bytes] = asyncio.Queue(16)
        self._readers: list[asyncio.Task[None]] = []

    async def messages(self) -> AsyncIterator[bytes]:
        accepting = tasks.spawn(self._accept(), "exec-streams")
        try:
            while message := await self._messages.get():
                yield message
        finally:
            await tasks.cancel(accepting, *self._readers)

    async def _accept(self) -> None:
        try:
            async for stream in self._streams.opened():
                channel = STREAM_CHANNELS.get(stream.headers.get("streamtype", ""))
                if channel is None:
                    continue
                self._by_channel[channel] = stream
                if channel in (STDIN, RESIZE):
                    self._readers.append(tasks.spawn(self._read(channel, stream), f"exec-stream-{channel}"))
                if len(self._by_channel) >= self._wanted:
                    self._complete.set()
        except (SpdyError, ConnectionError):
            pass
        await self._messages.put(b"")

    async def _read(self, channel: int, stream: Stream) -> None:
        while content := await stream.read():
            await self._messages.put(bytes([channel]) + content)
        if channel == STDIN:
            await self._messages.put(bytes([CLOSE, STDIN]))

    async def send(self, message: bytes) -> None:
        # The command may have spoken before the client has opened all its streams.
        async with asyncio.timeout(STREAMS_TIMEOUT_S):
            await self._complete.wait()
        if (stream := self._by_channel.get(message[0])) is not None:
            await stream.write(message[1:])

    async def end(self) -> None:
        """End all streams the server writes to."""
        for channel in (STDOUT, STDERR, ERROR):
            if (stream := self._by_channel.get(channel)) is not None:
                await stream.end()
