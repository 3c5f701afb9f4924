"""The upstream's side of the engine: one connection to a pod, used by one exchange after the other.

It sends a head and body pieces, reads the answer by its framing, and tells the exchange: answer began, piece, end,
lost. It does not know clients, directors or retries.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final, cast

from tidegate.wire import chunked
from tidegate.wire.answer_head import AnswerHeadReader
from tidegate.wire.chunked import BodyError
from tidegate.wire.deadlines import NEVER
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.header_rules import clean_trailers

if TYPE_CHECKING:
    from tidegate.wire.exchange import Exchange
    from tidegate.wire.pool import Pool
    from tidegate.wire.tunnel import Tunnel
    from tidegate.wire.upstream_tls import UpstreamTls

SMALL_BYTES: Final = 64 * 1024
"""Up to here copying a body behind its head is cheaper than a second write."""


class UpstreamConnection:
    """A connection to one upstream: an `asyncio.Protocol` in all but name (see `ClientSocket`)."""

    __slots__ = (
        "_body",
        "_interim_answers",
        "_is_abandoned",
        "_is_head_request",
        "_is_reading_paused",
        "_pool",
        "answer",
        "exchange",
        "filed_until",
        "has_answered",
        "idle_since",
        "is_connected",
        "is_lost",
        "is_paused",
        "is_reused",
        "key",
        "transport",
        "tunnel",
    )

    is_stream = False
    is_unprocessed = False
    """Whether the peer said that it did nothing with the request: HTTP/1.1 cannot say so."""

    def __init__(self, pool: Pool, key: tuple[str, int, UpstreamTls | None]) -> None:
        # connection
        self._pool = pool
        self.key = key
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.filed_until = NEVER
        self.idle_since = 0.0
        self.is_paused = False
        self.is_reused = False
        self.is_connected = False
        self.is_lost = False
        self._is_abandoned = False
        self._is_reading_paused = False
        # exchange
        self.exchange: Exchange | None = None
        self.answer = AnswerHeadReader(pool.limits, pool.answer_kinds)
        self.tunnel: Tunnel | None = None
        self._body: chunked.Body | None = None
        self._is_head_request = False
        self._interim_answers = 0
        self.has_answered = False

    # --- called by the exchange ---

    def has_input(self) -> bool:
        """Tell whether the kernel holds an end or bytes for this waiting connection, which makes it useless."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def begin(self, exchange: Exchange, is_head_request: bool) -> None:
        """Read the next answer for this exchange, which writes its request to `transport`."""
        self.exchange = exchange
        self._is_head_request = is_head_request
        self._body = None
        self._interim_answers = 0
        self.has_answered = False
        self.answer.reset()

    def release(self, reusable: bool, now: float) -> None:
        """End the exchange; the connection waits for the next one or is closed."""
        self.exchange = None
        self.tunnel = None
        if reusable and self.answer.keep_alive and not self.is_paused and not self.is_lost:
            self.is_reused = True
            if self._is_reading_paused:
                self.resume_answer()
            self._pool.give(self, now)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, dropping what is not sent."""
        self.exchange = None
        self.tunnel = None
        self.is_lost = True
        self.transport.abort()

    def close(self) -> None:
        """Close after what is written was sent."""
        self.is_lost = True
        self.transport.close()

    def pause_answer(self) -> None:
        """Stop reading: the client is slow."""
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def resume_answer(self) -> None:
        """Read again."""
        if self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = False
            self.transport.resume_reading()

    # --- called by the pool ---

    def abandon(self) -> None:
        """Close now, or as soon as it connects: nobody waits for this connection any more."""
        self._is_abandoned = True
        if self.is_connected:
            self.transport.abort()
            # Cancelled in the very turn in which it connects, uvloop closes the socket and never calls connection_lost.
            self.connection_lost(None)

    def next_deadline(self) -> float:
        """Return when this connection has waited long enough."""
        return self._pool.idle_deadline(self)

    def expire(self, now: float) -> None:
        """Close: it waited long enough."""
        self.close()

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast(asyncio.Transport, transport)
        limits = self._pool.limits
        self.transport.set_write_buffer_limits(high=limits.body_high_bytes, low=limits.body_low_bytes)
        self.is_connected = True
        self._pool.opened(self)
        if self._is_abandoned or self._pool.closed:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read answer bytes."""
        exchange = self.exchange
        if exchange is None:
            self.abort()  # an answer nobody asked for: the connection cannot be trusted
        elif self.tunnel is not None:
            self.tunnel.from_upstream(data)
        elif self._body is not None:
            self._read_body(exchange, data, 0, b"")
        else:
            self._read_head(exchange, data)

    def eof_received(self) -> bool:
        """Take the peer's end: of a tunnel's direction, of a body without length, or of everything."""
        exchange = self.exchange
        if self.tunnel is not None:
            return self.tunnel.half_closed(by_client=False)
        self.is_lost = True
        if exchange is not None and self._body is not None and self.answer.length == chunked.UNTIL_CLOSE:
            if exchange.is_chunking:
                exchange.write_answer(chunked.LAST_CHUNK)
            exchange.answer_ended()
        elif exchange is not None:
            exchange.upstream_lost(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's loss."""
        self.is_lost = True
        self._pool.lost(self)
        if self.exchange is not None:
            self.exchange.upstream_lost(self)

    def pause_writing(self) -> None:
        """Make the client wait: this upstream reads slowly."""
        self.is_paused = True
        if self.exchange is not None:
            self.exchange.upstream_paused()

    def resume_writing(self) -> None:
        """Let the client go on."""
        self.is_paused = False
        if self.exchange is not None:
            self.exchange.upstream_resumed()

    # --- the answer ---

    def _read_head(self, exchange: Exchange, data: bytes) -> None:
        answer = self.answer
        self.has_answered = True
        position = answer.whole_again(data)
        if position and not self._is_head_request:
            exchange.answered_whole(answer, data[position:])
            return
        position, size = 0, len(data)
        while position < size:
            try:
                position = answer.feed(data, position)
                if not answer.done:
                    return
                answer.finish(self._is_head_request)
            except HeadRefused:
                exchange.upstream_lost(self)
                return
            if answer.status >= 200:
                self._begin_body(exchange, data, position)
                return
            if answer.status == 101:
                exchange.switched(self, data[position:])
                return
            self._interim_answers += 1
            if self._interim_answers > self._pool.limits.interim_answers:
                exchange.upstream_lost(self)
                return
            exchange.interim_answer(answer)
            if answer.status == 100 and exchange.body is not None:
                exchange.body.is_asked_for = True
            answer.reset()

    def _begin_body(self, exchange: Exchange, data: bytes, position: int) -> None:
        length = self.answer.length
        left = len(data) - position
        head = exchange.answer_began(self.answer)
        if length == left and length <= SMALL_BYTES:  # the common case: the whole answer came in one read
            exchange.write_answer(head + data[position:] if length else head)
            exchange.answer_ended()
            return
        self._body = chunked.body_of(length)
        self._read_body(exchange, data, position, head)

    def _read_body(self, exchange: Exchange, data: bytes, position: int, head: bytes) -> None:
        body = self._body
        assert body is not None
        pieces: list[bytes] = []
        broken = False
        try:
            position = body.read(data, position, pieces)
        except BodyError:
            broken = True
        if self.answer.length < 0:
            exchange.answer_bytes += sum(map(len, pieces))
        if exchange.is_chunking:
            pieces = chunked.encode_chunks(pieces)
            if body.done:
                pieces.append(chunked.encode_last(clean_trailers(body.trailers, self._pool.answer_kinds)))
        elif body.done and body.trailers:
            exchange.write_trailers(clean_trailers(body.trailers, self._pool.answer_kinds))
        if head:
            pieces.insert(0, head)
        exchange.write_pieces(pieces)
        if broken:
            exchange.upstream_lost(self)
        elif body.done:
            if position < len(data):
                self.answer.keep_alive = False  # it spoke on after its answer
            exchange.answer_ended()
