"""An exchange whose client speaks HTTP/2: the same life, with the answer written as frames.

The upstream may speak either version: what it sends arrives here as a head in either form and as payload pieces. A head
that goes from HTTP/2 to HTTP/2 keeps its encoded form.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.wire import answers, grpc_status, hpack_encoder
from tidegate.wire.answer_head import date_line
from tidegate.wire.director import Answer, HeaderLine, Relay, Request
from tidegate.wire.exchange import Exchange
from tidegate.wire.h2_heads import RequestHead, StreamAnswer, encoded_answer
from tidegate.wire.request_head import request_line

if TYPE_CHECKING:
    from tidegate.wire.answer_head import AnswerHeadReader
    from tidegate.wire.answer_writer import AnswerHead
    from tidegate.wire.h2_client_stream import ClientStream
    from tidegate.wire.h2_upstream import UpstreamStream
    from tidegate.wire.upstream_side import UpstreamConnection


class StreamExchange(Exchange):
    """The life of one request that came as a stream."""

    __slots__ = ("_head", "_stream", "_trailers")

    def __init__(self, stream: ClientStream, head: RequestHead, request: Request) -> None:
        super().__init__(stream, request, b"", head.length)
        self._stream = stream
        self._head = head
        self._trailers: Sequence[HeaderLine] = ()

    # --- the request ---

    def _send(self, relay: Relay, upstream: UpstreamConnection | UpstreamStream) -> None:
        if not upstream.is_stream:
            request = self.request
            self._begin = request_line(request.method, request.target) + self._head.block
        super()._send(relay, upstream)

    def _send_by_stream(self, relay: Relay, upstream: UpstreamStream) -> None:
        if self._stream.is_write_paused:
            upstream.pause_answer()
        block = self._head.encoded
        if relay.add_head:
            block += hpack_encoder.encode_lines(relay.add_head)
        is_open = upstream.open(self, self.request, block, has_body=self.body is not None)
        if is_open and self.body is not None:
            self.body.send(upstream, b"")

    # --- the answer ---

    def interim_answer(self, answer: AnswerHead) -> None:
        """Pass a 1xx on."""
        self._stream.put_head(_encoded(answer, b""))

    def answer_began(self, answer: AnswerHead) -> bytes:
        """Send the answer's head; nothing is left to write before its body."""
        relay = self.direction
        assert type(relay) is Relay
        self._note_status(answer.status)
        self.answer_bytes = max(answer.length, 0)
        lines = relay.answer_head if relay.on_answer is None else relay.on_answer()
        self._stream.put_head(_encoded(answer, lines))
        return b""

    def write_answer(self, data: bytes) -> None:
        """Send payload."""
        self.write_pieces((data,))

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Send payload."""
        self._stream.put(pieces)
        if self._has_idle_timer:
            self._last_byte_at = time.monotonic()

    def write_trailers(self, trailers: Sequence[HeaderLine]) -> None:
        """Keep the trailers for the end."""
        self._trailers = trailers

    def write_own(self, answer: Answer) -> None:
        """Send an answer of ours, whole."""
        self._server.answered(answer.reason, answer.status, self.request, self.request.peer)
        self._note_status(answer.status)
        stream = self._stream
        if answer.reason and grpc_status.is_grpc(self.request):
            block = hpack_encoder.encode(grpc_status.trailers_only(answer)) + hpack_encoder.encode_lines(date_line())
            stream.put_head(block)
        else:
            head, _, body = answers.render(answer, self.request, True).partition(b"\r\n\r\n")
            stream.put_head(encoded_answer(answer.status, head))
            stream.put((body,))
        stream.end()

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


def _encoded(answer: AnswerHead, answer_head: bytes) -> bytes:
    if isinstance(answer, StreamAnswer):
        return answer.encoded(answer_head)
    return encoded_answer(answer.status, answer.client_head(b"", answer_head))
