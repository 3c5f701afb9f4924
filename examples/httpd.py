"""A small threaded HTTP/1.1 server for the examples: keep-alive, bodies, upgrades, orderly end on SIGTERM.

Standard library only, and only its cheap parts: `http.server` alone would double the start-up time of an example, and
start-up is what a cold start is made of. It is no part of Tidegate, and not meant for the open internet.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

HEAD_LIMIT_BYTES = 64 << 10
BODY_LIMIT_BYTES = 32 << 20
IDLE_TIMEOUT_S = 300.0
DRAIN_TIMEOUT_S = 20.0
BACKLOG = 1024

PHRASES = {101: "Switching Protocols", 200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class Request(NamedTuple):
    """One request; `headers` has lower-case names."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """One answer. With `take_over` the connection belongs to that function after the head (and `headers`) went out."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    take_over: Callable[[Stream], None] | None = None


class BadRequest(Exception):
    """The client's bytes are not a request this server understands."""


class Stream:
    """A connected socket with a read buffer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = bytearray()

    def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes; raises ConnectionError when the peer leaves before."""
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_until(self, mark: bytes, limit: int) -> bytes:
        """Return the bytes before `mark` and drop the mark itself; at most `limit` bytes."""
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise BadRequest("too long")
            self._fill()
        data = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self.connection.sendall(data)

    def _fill(self) -> None:
        chunk = self.connection.recv(65536)
        if not chunk:
            raise ConnectionError("the peer left")
        self._buffer += chunk


class _Stop(BaseException):
    """Raised in the main thread by SIGTERM or SIGINT, out of accept()."""


class Server:
    """Answers every request with `handler`, one thread per connection.

    `streams`: by path, who reads the body and writes the answer by themselves, at the same time if they like; the
    connection ends with them.
    """

    def __init__(
        self,
        handler: Callable[[Request], Reply],
        streams: Mapping[str, Callable[[Request, Stream], None]] | None = None,
    ) -> None:
        self._handler = handler
        self._streams = streams or {}
        self._busy = 0
        self._lock = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        """Listen on $HOST:$PORT (0.0.0.0:8080) until SIGTERM, then let requests in flight finish."""
        address = (os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080")))
        listener = socket.create_server(address, backlog=BACKLOG)
        signal.signal(signal.SIGTERM, _raise_stop)
        signal.signal(signal.SIGINT, _raise_stop)
        try:
            self._accept_forever(listener)
        except _Stop:
            self._stopping = True
        listener.close()
        self._drain()

    def _accept_forever(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.01)

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(IDLE_TIMEOUT_S)
        with connection:
            try:
                stream = Stream(connection)
                while self._serve_one(stream):
                    pass
            except (OSError, TimeoutError):
                return
            except (BadRequest, ValueError) as error:
                _try_write(stream, head(400, (("content-length", "0"), ("connection", "close"))))
                print(f"bad request: {error}", file=sys.stderr, flush=True)

    def _serve_one(self, stream: Stream) -> bool:
        request = read_head(stream)
        with self._lock:
            self._busy += 1
        try:
            take_over = self._streams.get(request.path)
            if take_over is not None:
                take_over(request, stream)
                return False
            request = request._replace(body=b"".join(pieces(request, stream)))
            reply = self._handler(request)
            if reply.take_over is not None:
                stream.write(head(reply.status, reply.headers))
                reply.take_over(stream)
                return False
            is_last = self._stopping or request.headers.get("connection", "").lower() == "close"
            stream.write(encode(reply, is_last=is_last, has_body=request.method != "HEAD"))
            return not is_last
        finally:
            with self._lock:
                self._busy -= 1


def read_head(stream: Stream) -> Request:
    """Read one request without its body; raises `BadRequest` or OSError."""
    lines = stream.read_until(b"\r\n\r\n", HEAD_LIMIT_BYTES).decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    path, _, query = target.partition("?")
    if headers.get("expect", "").lower() == "100-continue":
        stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(method, path, query, headers, b"")


def pieces(request: Request, stream: Stream) -> Iterator[bytes]:
    """Give the body as it arrives; raises `BadRequest` above `BODY_LIMIT_BYTES`."""
    if request.headers.get("transfer-encoding", "").lower() == "chunked":
        yield from _chunks(stream)
        return
    length = int(request.headers.get("content-length", "0"))
    if not 0 <= length <= BODY_LIMIT_BYTES:
        raise BadRequest("the body is too large")
    if length:
        yield stream.read_exactly(length)


def _chunks(stream: Stream) -> Iterator[bytes]:
    total = 0
    while size := int(stream.read_until(b"\r\n", 100).split(b";")[0], 16):
        total += size
        if total > BODY_LIMIT_BYTES:
            raise BadRequest("the body is too large")
        yield stream.read_exactly(size)
        stream.read_until(b"\r\n", 2)
    while stream.read_until(b"\r\n", HEAD_LIMIT_BYTES):
        pass  # trailers


def chunk(data: bytes) -> bytes:
    """Return one piece of a chunked answer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a status line and header lines."""
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'Unknown')}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode(reply: Reply, *, is_last: bool, has_body: bool = True) -> bytes:
    """Return a whole answer in one piece: one write, one packet."""
    fields = [("content-type", reply.content_type), ("content-length", str(len(reply.body))), *reply.headers]
    if is_last:
        fields.append(("connection", "close"))
    return head(reply.status, tuple(fields)) + (reply.body if has_body else b"")


def _try_write(stream: Stream, data: bytes) -> None:
    try:
        stream.write(data)
    except OSError:
        pass


def _raise_stop(*_: object) -> None:
    raise _Stop
