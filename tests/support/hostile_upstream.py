"""An upstream that records every byte, reads it by the letter, and answers as a test scripts it.

What it received is judged afterwards: by its own strict reading, and by parsers that know nothing of each other.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, cast

import h2.config
import h2.connection
import h2.events

from tests.support import strict_http
from tests.support.strict_http import Malformed, Message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
PROBE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nqueue"

Hook = Callable[["Connection", Message], None]


def answer_ok(connection: Connection, message: Message) -> None:
    """Answer 200, or switch where the path says so."""
    upgrade = message.header(b"upgrade")
    if upgrade is not None and message.start[1].startswith(b"/switch"):
        connection.tunnel = b""
        connection.send(SWITCH % upgrade)
    elif message.start[0] == b"HEAD":
        connection.send(OK[:-2])
    else:
        connection.send(OK)


def continue_on(connection: Connection, message: Message) -> None:
    """Say 100 to whoever waits for it."""
    if message.header(b"expect") is not None:
        connection.send(CONTINUE)


def nothing(connection: Connection, message: Message) -> None:
    """Leave it to the other hook."""


class Connection(asyncio.Protocol):
    """One connection to the upstream. `raw` has what came since the row began."""

    def __init__(self, upstream: Recorder) -> None:
        self._upstream = upstream
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.raw = b""
        self.seen: list[Message] = []
        self.error = ""
        self.tunnel: bytes | None = None
        self.is_open = False
        self._position = 0
        self._is_headed = False
        self._h2: _Streams | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self._upstream.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._upstream.news.set()

    def data_received(self, data: bytes) -> None:
        self._upstream.news.set()
        if self.tunnel is not None:
            self.tunnel += data
            self.send(data)
            return
        if self._h2 is None and not self.raw and data.startswith(b"PRI * HTTP/2.0\r\n"):
            self._h2 = _Streams(self)
        if self._h2 is not None:
            self._h2.feed(data)
            return
        self.raw += data
        if self._upstream.reads:
            self._read()

    def _read(self) -> None:
        try:
            while self._position < len(self.raw) and self.tunnel is None and self._read_one():
                pass
        except Malformed as error:
            self.error = str(error)
            self.transport.abort()

    def _read_one(self) -> bool:
        head = strict_http.head_of(self.raw[self._position :])
        if head is None:
            return False
        if head[0].header(b"k-network-probe") is not None:
            self.raw = self.raw[: self._position] + self.raw[self._position + head[1] :]
            self.send(PROBE)
            return True
        if not self._is_headed:
            self._is_headed = True
            self._upstream.on_head(self, head[0])
        request = strict_http.request_of(self.raw, self._position)
        if request is None:
            return False
        message, self._position = request
        self._is_headed = False
        self.seen.append(message)
        self._upstream.on_request(self, message)
        if self.tunnel is not None:
            self.tunnel += self.raw[self._position :]
            self.raw = self.raw[: self._position]
        return True

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        if not self.transport.is_closing():  # the number of its descriptor may be another's by now
            endpoint = self.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def is_cut(self) -> bool:
        """Whether it ends within a message."""
        return self._position < len(self.raw)

    def forget(self) -> None:
        """Begin a new row."""
        self.raw, self._position, self.seen = self.raw[self._position :], 0, []


class _Streams:
    """The HTTP/2 side of a connection, read by the h2 library: each whole stream is a request."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._h2.initiate_connection()
        self._open: dict[int, Message] = {}
        connection.send(self._h2.data_to_send())

    def feed(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            self._take(event)
        self._connection.send(self._h2.data_to_send())

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            pseudo = {name: value for name, value in event.headers if name[:1] == b":"}
            lines = tuple((name, value) for name, value in event.headers if name[:1] != b":")
            host = ((b"host", pseudo[b":authority"]),)
            self._open[event.stream_id] = Message((pseudo[b":method"], pseudo[b":path"]), host + lines)
        elif isinstance(event, h2.events.DataReceived):
            self._open[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self._open[event.stream_id].trailers = tuple(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self._connection.seen.append(self._open.pop(event.stream_id))
            self._h2.send_headers(event.stream_id, [(":status", "200")])
            self._h2.send_data(event.stream_id, b"ok", end_stream=True)
        elif isinstance(event, h2.events.StreamReset):
            self._open.pop(event.stream_id, None)


class Recorder:
    """Listens on a port of its own. `on_head` and `on_request` are called as the strict reading comes to each."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.port = 0
        self.news = asyncio.Event()
        self.begin()

    def begin(self) -> None:
        """Forget what earlier rows left, and answer as ever."""
        self.connections = [connection for connection in self.connections if connection.is_open]
        for connection in self.connections:
            connection.forget()
        self.on_head: Hook = continue_on
        self.on_request: Hook = answer_ok
        self.reads = True

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    @property
    def open_count(self) -> int:
        return sum(connection.is_open for connection in self.connections)

    @property
    def seen(self) -> list[Message]:
        """All whole requests of this row, in order within each connection."""
        return [message for connection in self.connections for message in connection.seen]

    def check(self, *, is_cut: bool = False) -> None:
        """Assert that every parser reads these bytes as the strict one does; `is_cut`: a request may be incomplete."""
        for connection in self.connections:
            assert connection.error == "", connection.error
            assert not connection.is_cut or (is_cut and not connection.is_open), connection.raw
            if connection.raw and connection.seen and not connection.is_cut:
                readings = strict_http.readings_of_requests(connection.raw)
                for name, reading in readings.items():
                    assert reading == readings["strict"], name
