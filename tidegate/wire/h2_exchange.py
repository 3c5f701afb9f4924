"""An exchange whose client speaks HTTP/2: the same life, with the answer written as frames.

The upstream may speak either version: what it sends arrives here as a head in HTTP/1.1 form and as payload pieces.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.wire import answers
from tidegate.wire.director import Answer, HeaderLine, Relay, Request
from tidegate.wire.exchange import Exchange
from tidegate.wire.h2_heads import answer_headers
from tidegate.wire.request_head import request_line

if TYPE_CHECKING:
    from tidegate.wire.answer_head import AnswerHeadReader
    from tidegate.wire.answer_writer import AnswerHead
    from tidegate.wire.h2_client_side import ClientStream


class StreamExchange(Exchange):
    """The life of one request that came as a stream."""

    __slots__ = ("_stream", "_trailers")

    def __init__(self, stream: ClientStream, request: Request, block: bytes, length: int) -> None:
        super().__init__(stream, request, request_line(request.method, request.target) + block, length)
        self._stream = stream
        self._trailers: tuple[HeaderLine, ...] = ()

    def interim_answer(self, answer: AnswerHead) -> None:
        """Keep a 1xx: its only use is 100-continue, and window updates do that work here."""

    def answer_began(self, answer: AnswerHead) -> bytes:
        """Send the answer's head; nothing is left to write before its body."""
        relay = self.direction
        assert type(relay) is Relay
        self._note_status(answer.status)
        self.answer_bytes = max(answer.length, 0)
        self._stream.put_head(answer_headers(answer.status, answer.client_head(b"", relay.answer_head)))
        return b""

    def write_answer(self, data: bytes) -> None:
        """Send payload."""
        self.write_pieces((data,))

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Send payload."""
        self._stream.put(pieces)
        if self._has_idle_timer:
            self._last_byte_at = time.monotonic()

    def write_trailers(self, trailers: tuple[HeaderLine, ...]) -> None:
        """Keep the trailers for the end."""
        self._trailers = trailers

    def write_own(self, answer: Answer) -> None:
        """Send an answer of ours, whole."""
        self._server.answered(answer.reason, answer.status, self.request, self.request.peer)
        self._note_status(answer.status)
        head, _, body = answers.render(answer, self.request, True).partition(b"\r\n\r\n")
        self._stream.put_head(answer_headers(answer.status, head))
        self._stream.put((body,))
        self._stream.end()

    def answered_whole(self, answer: AnswerHeadReader, body: bytes) -> None:
        """Take an answer that came in one piece under a head that is known."""
        self.answer_began(answer)
        self.write_pieces((body,))
        self.answer_ended()

    def answer_ended(self) -> None:
        """End the stream's answer, then the exchange."""
        self._stream.end(self._trailers)
        super().answer_ended()

    def _note_status(self, status: int) -> None:
        self._status = status
        self._first_byte_at = time.monotonic()
        if self._has_idle_timer:
            self._last_byte_at = self._first_byte_at
