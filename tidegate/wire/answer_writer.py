"""The client's half of an exchange: heads and pieces of its answer, written as the client's version needs them.

Used by `Exchange`, which decides what is written and when; nothing here knows directors, upstreams or timers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

from tidegate.wire import answers
from tidegate.wire.answer_head import AnswerHeadReader
from tidegate.wire.director import UNKNOWN_BYTES, Answer, Direction, HeaderLine, Relay, Request

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.h2_client_stream import ClientStream
    from tidegate.wire.h2_heads import StreamAnswer
    from tidegate.wire.server import Server


AnswerHead = Union["AnswerHeadReader", "StreamAnswer"]


class AnswerWriter:
    """Writes one answer, the upstream's or ours, and remembers how far it came."""

    __slots__ = (
        "_client",
        "_first_byte_at",
        "_has_idle_timer",
        "_last_byte_at",
        "_server",
        "_status",
        "answer_bytes",
        "direction",
        "is_chunking",
        "is_close_delimited",
        "request",
    )

    # Set by `Exchange.__init__`: a call of its own costs what the rest of it does.
    _client: ClientConnection | ClientStream
    _server: Server
    request: Request
    direction: Direction | None
    is_chunking: bool
    is_close_delimited: bool
    _has_idle_timer: bool
    _status: int  # what the client sees; 0 while nothing of the final answer was written
    _first_byte_at: float
    _last_byte_at: float
    answer_bytes: int  # of the upstream's body: as announced, else as counted so far

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the answer was sent."""
        return self._status != 0

    def interim_answer(self, answer: AnswerHead) -> None:
        """Pass a 1xx on, except to HTTP/1.0, which knows none."""
        if self.request.http_version != "1.0":
            self.write_answer(answer.client_head(b"", b""))

    def answer_began(self, answer: AnswerHead) -> bytes:
        """Note the answer's begin; return its head for the client."""
        relay = self.direction
        assert type(relay) is Relay
        client = self._client
        framing = b""
        if answer.length >= 0:
            self.answer_bytes = answer.length
        elif self.request.http_version == "1.1":
            self.is_chunking = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self.is_close_delimited = True
            client.keep_alive = False
        if not client.keep_alive or self.request.http_version == "1.0":
            framing += answers.connection_line(self.request, client.keep_alive)
        self._status = answer.status
        self._first_byte_at = time.monotonic()
        return answer.client_head(framing, relay.answer_head if relay.on_answer is None else relay.on_answer())

    def write_switch(self, answer: AnswerHeadReader) -> None:
        """Write the head of a 101."""
        relay = self.direction
        assert type(relay) is Relay
        framing = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % (answer.upgrade or b"unknown")
        self._status = 101
        self.answer_bytes = UNKNOWN_BYTES
        self._first_byte_at = time.monotonic()
        lines = relay.answer_head if relay.on_answer is None else relay.on_answer()
        self.write_answer(answer.client_head(framing, lines))

    def write_answer(self, data: bytes) -> None:
        """Write answer bytes to the client."""
        self._server.counters.bytes_out += len(data)
        self._server.outbox.flush()
        self._client.transport.write(data)
        if self._has_idle_timer:
            self._last_byte_at = time.monotonic()

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Write answer pieces to the client in one go."""
        if len(pieces) == 1:
            self.write_answer(pieces[0])
        elif pieces:
            self._server.counters.bytes_out += sum(map(len, pieces))
            self._server.outbox.flush()
            self._client.transport.writelines(pieces)
            if self._has_idle_timer:
                self._last_byte_at = time.monotonic()

    def write_trailers(self, trailers: tuple[HeaderLine, ...]) -> None:
        """Take the trailers of an answer that is not chunked here: HTTP/1.1 has no place for them."""

    def write_own(self, answer: Answer) -> None:
        """Write an answer of ours, whole."""
        self._server.answered(answer.reason, answer.status, self.request, self.request.peer)
        self._status = answer.status
        self._first_byte_at = time.monotonic()
        if not self._client.transport.is_closing():
            self.write_answer(answers.render(answer, self.request, self._client.keep_alive))
