"""One client's connection: bytes to requests, replies to bytes, in order.

A handler answers at once with a Reply, or with an awaitable: only then is there a task. The next request of a
connection is answered after the one before it. A client that leaves cancels what it waits for. Bounds on head, body,
pipelining and time are in HttpLimits; whatever breaks one is answered and the connection closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, cast
from urllib.parse import unquote

import httptools

from runtimes.failures import InferenceError, Kind
from runtimes.http import messages
from runtimes.http.messages import HttpLimits, Reply, Request, Totals
from tidegate.process import tasks

log = logging.getLogger(__name__)

Handler = Callable[[Request], Reply | Awaitable[Reply]]
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """The server that a connection belongs to."""

    handler: Handler
    limits: HttpLimits
    totals: Totals
    is_draining: bool
    connections: set[Connection]


class Connection(asyncio.Protocol):
    """Reads requests and writes replies."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._limits = owner.limits
        # The connection
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._is_closing = False
        self.deadline = self._loop.time() + self._limits.request_timeout_s
        # The request that is being read
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._header_bytes = 0
        self._is_in_head = False
        self._body_bytes = 0
        self._held_bytes = 0

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or close it where there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._owner.connections.add(self)
        self._owner.totals.connections += 1
        if len(self._owner.connections) > self._limits.connections:
            self._refuse(InferenceError(Kind.QUEUE_FULL, "too many connections"))

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel what the client waited for and give back its memory."""
        self._is_closing = True
        self._owner.connections.discard(self)
        self._release(self._held_bytes)
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        """A client that ends its side has left, as nginx and Go's server take it."""
        return False

    def pause_writing(self) -> None:
        """Let streams wait for the reader."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Let streams go on."""
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came; a malformed request is answered with 400."""
        if self._is_closing:
            return
        if self._is_in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._is_closing:
                cause = error.__context__
                failure = cause if isinstance(cause, InferenceError) else None
                self._refuse(failure or InferenceError(Kind.BAD_INPUT, "this is not an HTTP/1.1 request"))
        else:
            if self._is_in_head and self._head_bytes > self._limits.head_bytes:
                self._refuse(_head_too_large())

    # httptools calls these

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = {}
        self._body_bytes = 0
        self._held_bytes = 0
        self._head_bytes = self._header_bytes = 0
        self._is_in_head = True
        self.deadline = self._loop.time() + self._limits.request_timeout_s

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url
        if len(self._url) > self._limits.head_bytes:
            raise _head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of one that repeats the last counts."""
        self._headers[name.lower()] = value
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._limits.head_bytes:
            raise _head_too_large()

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it comes; answer an expectation."""
        self._is_in_head = False
        if self._parser.should_upgrade():
            raise InferenceError(Kind.UNSUPPORTED, "upgrades are not offered here")
        length = self._headers.get(b"content-length")
        if length is not None:
            self._check_body(int(length))
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(_CONTINUE)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(piece)
        self._check_body(self._body_bytes)
        self._held_bytes += len(piece)
        self._owner.totals.buffered_bytes += len(piece)
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait for those before it."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        path, _, query = self._url.decode("latin-1").partition("?")
        if "%" in path:
            path = unquote(path)
        request = Request(self._parser.get_method(), path, query, self._headers, body)
        self._headers = {}
        is_last = not self._parser.should_keep_alive()
        self._release(self._held_bytes)
        self._held_bytes = 0
        if self._task is not None or self._waiting:
            self._waiting.append((request, is_last))
            if len(self._waiting) >= self._limits.pipelined:
                self._transport.pause_reading()
            return
        self._answer(request, is_last)

    # Ours

    def _check_body(self, size: int) -> None:
        if size > self._limits.body_bytes:
            text = f"the body has more than {self._limits.body_bytes} bytes"
            raise InferenceError(Kind.TOO_LARGE, text)
        if self._owner.totals.buffered_bytes + size > self._limits.buffered_bytes:
            raise InferenceError(Kind.QUEUE_FULL, "too many large requests are being read; try again later")

    def _release(self, size: int) -> None:
        self._owner.totals.buffered_bytes -= size
        self._held_bytes = 0

    def _answer(self, request: Request, is_last: bool) -> None:
        totals = self._owner.totals
        totals.requests += 1
        try:
            reply = self._owner.handler(request)
        except InferenceError as error:
            reply = messages.error_reply(error)
        except Exception as error:
            reply = _crash(request, error)
        is_last = is_last or self._owner.is_draining
        if isinstance(reply, Reply) and reply.stream is None:
            self._write(reply, is_last, request.method == b"HEAD")
        else:
            self._task = tasks.spawn(self._answer_later(request, reply, is_last), "request")

    async def _answer_later(self, request: Request, pending: Reply | Awaitable[Reply], is_last: bool) -> None:
        try:
            try:
                reply = pending if isinstance(pending, Reply) else await pending
            except InferenceError as error:
                reply = messages.error_reply(error)
            except Exception as error:
                reply = _crash(request, error)
            is_last = is_last or self._owner.is_draining
            if reply.stream is None:
                self._write(reply, is_last, request.method == b"HEAD")
            else:
                await self._stream(reply, is_last)
        finally:
            self._task = None
        self._next()

    def _write(self, reply: Reply, is_last: bool, is_head: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(messages.head(reply, is_last=is_last) + (b"" if is_head else reply.body))
        self._ended(is_last)

    async def _stream(self, reply: Reply, is_last: bool) -> None:
        stream = reply.stream
        assert stream is not None, "only streams come here"
        self._transport.write(messages.head(reply, is_last=is_last))
        is_whole = False
        try:
            async for piece in stream:
                if piece:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if not self._can_write.is_set():
                    async with asyncio.timeout(self._limits.write_timeout_s):
                        await self._can_write.wait()
            is_whole = True
        except TimeoutError:
            log.info("a client did not read its stream for %.0f s", self._limits.write_timeout_s)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
            if is_whole:
                self._transport.write(b"0\r\n\r\n")
                self._ended(is_last)
            else:
                self._transport.abort()

    def _ended(self, is_last: bool) -> None:
        self.deadline = self._loop.time() + self._limits.keep_alive_s
        if is_last:
            self._is_closing = True
            self._transport.close()

    def _next(self) -> None:
        while self._waiting and self._task is None and not self._is_closing:
            request, is_last = self._waiting.popleft()
            if len(self._waiting) == self._limits.pipelined - 1:
                self._transport.resume_reading()
            self._answer(request, is_last)

    def _refuse(self, error: InferenceError) -> None:
        refused = self._owner.totals.refused
        refused[error.kind.value] = refused.get(error.kind.value, 0) + 1
        if self._task is None:
            self._write(messages.error_reply(error), True, False)
        else:
            self._is_closing = True
            self._transport.close()

    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._task is None and not self._headers and not self._pieces and not self._waiting

    def sweep(self, now: float) -> None:
        """Close the connection when its client is late with a request or was quiet for too long."""
        if self._task is not None or now < self.deadline:
            return
        if self.is_idle():
            self._is_closing = True
            self._transport.close()
        else:
            self._refuse(InferenceError(Kind.LATE, "the request did not arrive in time"))

    def close(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._transport.abort()


def _head_too_large() -> InferenceError:
    return InferenceError(Kind.TOO_LARGE, "the head of the request is too large")


def _crash(request: Request, error: Exception) -> Reply:
    log.error("%s %s crashed: %r", request.method.decode("latin-1"), request.path, error, exc_info=error)
    return messages.error_reply(InferenceError(Kind.MODEL_FAILED, "the server failed; its log has the reason"))
