"""The upstream's side of an HTTP/2 connection: many exchanges at once, each on a stream of its own.

`UpstreamStream` is to its exchange what `UpstreamConnection` is for HTTP/1.1. It knows no clients and no retries.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from tidegate.contracts import outcomes
from tidegate.wire import chunked, h2_floods
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.h2_floods import FloodGuard
from tidegate.wire.h2_frames import END_STREAM, ConnectionFailed, ErrorCode
from tidegate.wire.h2_heads import StreamAnswer, encoded_request, trailers_of
from tidegate.wire.h2_session import STREAMS_LIMIT, Session
from tidegate.wire.h2_stream import WINDOW_BYTES, Stream
from tidegate.wire.head_reader import HeadRefused

if TYPE_CHECKING:
    from tidegate.wire.exchange import Exchange
    from tidegate.wire.h2_pool import StreamPool
    from tidegate.wire.tunnel import Tunnel
    from tidegate.wire.upstream_tls import UpstreamTls

LAST_STREAM_ID = 1 << 30


class UpstreamStream(Stream["UpstreamSession"]):
    """One request to an upstream. It opens its stream when it is sent."""

    __slots__ = (
        "_in_trailers",
        "_interim_answers",
        "_is_reading_paused",
        "exchange",
        "has_answered",
        "has_head",
        "is_head_request",
        "is_paused",
        "is_reused",
        "is_unprocessed",
        "tunnel",
    )

    is_stream = True

    def __init__(self, session: UpstreamSession, *, is_reused: bool) -> None:
        super().__init__(session, 0)
        self.exchange: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self.is_paused = False
        self.is_reused = is_reused
        self.is_unprocessed = False
        self.has_answered = False
        self.has_head = False  # the final one
        self.is_head_request = False
        self._interim_answers = 0
        self._is_reading_paused = False
        self._in_trailers: tuple[HeaderLine, ...] = ()

    # --- called by the exchange ---

    def send_request(self, exchange: Exchange, request: Request, block: bytes, *, has_body: bool) -> bool:
        """Open the stream with a request that came by HTTP/1.1, with these lines."""
        return self.open(exchange, request, encoded_request(request, block), has_body=has_body)

    def open(self, exchange: Exchange, request: Request, block: bytes, *, has_body: bool) -> bool:
        """Open the stream with this header block; its body follows by `send_body`. False: the connection is lost."""
        self.exchange = exchange
        self.is_head_request = request.method == b"HEAD"
        self.is_out_done = not has_body
        if self.is_closed or not self.session.open(self, block):
            self.is_unprocessed = True
            asyncio.get_running_loop().call_soon(self.lost)  # the exchange is still sending
            return False
        return True

    def send_body(self, pieces: list[bytes], trailers: tuple[HeaderLine, ...], *, is_last: bool) -> None:
        """Send body pieces, and the end."""
        if pieces:
            self.put(pieces)
        if is_last:
            self.end(trailers)

    def pause_answer(self) -> None:
        """Keep the window shut: the client is slow."""
        self._is_reading_paused = True

    def resume_answer(self) -> None:
        """Open the window."""
        self._is_reading_paused = False
        self.consumed()

    def release(self, reusable: bool, now: float) -> None:
        """End the exchange; a request that was not sent to its end is taken back."""
        self.exchange = None
        if self.is_out_done and self.is_in_done:
            self.session.forget(self)
        else:
            self.session.reset(self, ErrorCode.NO_ERROR if reusable else ErrorCode.CANCEL)

    def abort(self) -> None:
        """Take the request back."""
        self.exchange = None
        self.session.reset(self, ErrorCode.CANCEL)

    def close(self) -> None:
        """Leave the session, also when nothing was ever sent."""
        super().close()
        self.session.left(self)

    # --- called by the session ---

    def out_full(self) -> None:
        """Make the client wait."""
        self.is_paused = True
        if self.exchange is not None:
            self.exchange.upstream_paused()

    def out_free(self) -> None:
        """Let the client go on."""
        self.is_paused = False
        if self.exchange is not None:
            self.exchange.upstream_resumed()

    def take_head(self, exchange: Exchange, answer: StreamAnswer) -> None:
        """Take an answer's head, final or interim."""
        if answer.status < 200:
            self._take_interim(exchange, answer)
            return
        self.has_head = True
        self.expected = answer.expected
        head = exchange.answer_began(answer)
        if head:
            exchange.write_answer(head)

    def _take_interim(self, exchange: Exchange, answer: StreamAnswer) -> None:
        self._interim_answers += 1
        if self._interim_answers > self.session.limits.interim_answers:
            self.session.stream_failed(self, ErrorCode.ENHANCE_YOUR_CALM)
            return
        exchange.interim_answer(answer)
        if answer.status == 100 and exchange.body is not None:
            exchange.body.is_asked_for = True

    def take_data(self, exchange: Exchange, data: bytes) -> None:
        """Take payload; the window opens when the client's side has room."""
        if self.expected < 0:
            exchange.answer_bytes += len(data)
        if data:
            exchange.write_pieces(chunked.encode_chunks([data]) if exchange.is_chunking else (data,))
        if not self._is_reading_paused:
            self.consumed()

    def take_trailers(self, trailers: tuple[HeaderLine, ...]) -> None:
        """Keep trailers for the end."""
        self._in_trailers = trailers

    def take_end(self, exchange: Exchange) -> None:
        """Take the end of the answer."""
        self.is_in_done = True
        if exchange.is_chunking:
            exchange.write_answer(chunked.encode_last(self._in_trailers))
        elif self._in_trailers:
            exchange.write_trailers(self._in_trailers)
        exchange.answer_ended()

    def lost(self) -> None:
        """Take the loss of the stream."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.upstream_lost(self)
        else:
            self.session.forget(self)


class UpstreamSession(Session):
    """One HTTP/2 connection to an upstream."""

    __slots__ = ("_late_heads", "_pool", "_taken", "has_served", "is_leaving", "key", "limits", "settled")

    streams: dict[int, UpstreamStream]

    def __init__(self, pool: StreamPool, key: tuple[str, int, UpstreamTls | None]) -> None:
        super().__init__(is_client=True, first_window_bytes=WINDOW_BYTES)
        self._pool = pool
        self._late_heads = FloodGuard()
        self.limits = pool.limits
        self.key = key
        self.settled: asyncio.Future[None] = self._loop.create_future()
        """Done when the peer's SETTINGS are here: it speaks HTTP/2 and has said how many streams it takes."""
        self._taken: set[UpstreamStream] = set()
        self.is_leaving = False
        self.has_served = False

    # --- called by the pool ---

    @property
    def has_room(self) -> bool:
        """Whether another stream may be opened."""
        if self.is_lost or self.is_leaving or self.highest_id >= LAST_STREAM_ID:
            return False
        return len(self._taken) < min(self.peer.streams_limit, STREAMS_LIMIT)

    def stream(self) -> UpstreamStream:
        """Reserve a stream."""
        stream = UpstreamStream(self, is_reused=self.has_served)
        self.has_served = True
        self._taken.add(stream)
        return stream

    def next_deadline(self) -> float:
        """Return when this connection has been idle long enough."""
        idle_s = self._pool.idle_timeout_s
        return NEVER if self._taken or not idle_s else self.since + idle_s

    def expire(self, now: float) -> None:
        """Close: it was idle long enough."""
        self.shut()

    def shut(self) -> None:
        """Close when idle, else after the last stream."""
        self.is_leaving = True
        if not self._taken and not self.is_lost:
            self.go_away()
            self.is_lost = True
            self.transport.close()

    # --- called by the streams ---

    def open(self, stream: UpstreamStream, block: bytes) -> bool:
        """Open a stream with its head; False when the connection takes none any more."""
        if self.is_lost:
            return False
        stream.id = self.highest_id = self.highest_id + 2 if self.highest_id else 1
        stream.window = self.peer.window_bytes  # it may have changed since the stream was reserved
        self.streams[stream.id] = stream
        self.write_headers(stream, block, END_STREAM if stream.is_out_done else 0)
        return True

    def abandon(self) -> None:
        """Close now; streams are lost."""
        if self.transport is not None and not self.is_lost:
            self.transport.abort()
            self.connection_lost(None)

    def left(self, stream: UpstreamStream) -> None:
        """Note that a stream's place is free."""
        if stream not in self._taken:
            return
        self._taken.discard(stream)
        if not self._taken:
            self.since = time.monotonic()
            if self.is_leaving:
                self._loop.call_soon(self.shut)
            else:
                self._pool.idle(self)

    # --- frames ---

    def on_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        """Take an answer's head or trailers."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.exchange is None:
            self._drop_head(stream_id, block)
            return
        stream.has_answered = True
        try:
            if stream.has_head:
                trailers = self.trailers.get(block)
                if trailers is None:
                    trailers = self._read_trailers(block)
                if not is_end or stream.expected > 0:
                    self.stream_failed(stream, ErrorCode.PROTOCOL_ERROR)
                    return
                stream.take_trailers(trailers)
            else:
                answer = None
                if not stream.is_head_request:
                    answer = (self.heads_ended if is_end else self.heads).get(block)
                stream.take_head(stream.exchange, answer or self._read_head(stream, block, is_end=is_end))
        except HeadRefused:
            self.stream_failed(stream, ErrorCode.PROTOCOL_ERROR)
            return
        if is_end and stream.exchange is not None:
            stream.take_end(stream.exchange)

    def _drop_head(self, stream_id: int, block: bytes) -> None:
        """Take a head of a stream that is over. It was on its way, unless there is no end of them."""
        self.check_not_idle(stream_id)
        self.decode(block)
        if not self._late_heads.spend(h2_floods.EMPTY, time.monotonic()):
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "the upstream does not stop answering what is over")

    def _read_head(self, stream: UpstreamStream, block: bytes, *, is_end: bool) -> StreamAnswer:
        headers, is_lasting = self._decode_whole(block)
        is_head, kinds = stream.is_head_request, self._pool.answer_kinds
        answer = StreamAnswer(headers, ended=is_end, to_head_request=is_head, kinds=kinds)
        if is_lasting and not is_head:
            self.remember(self.heads_ended if is_end else self.heads, block, answer)
        return answer

    def _decode_whole(self, block: bytes) -> tuple[list[HeaderLine], bool]:
        decoded = self.decode(block)
        if self.is_list_too_large:
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "a header list is too large")
        return decoded

    def _read_trailers(self, block: bytes) -> tuple[HeaderLine, ...]:
        headers, is_lasting = self._decode_whole(block)
        trailers = trailers_of(headers, self._pool.answer_kinds)
        if is_lasting:
            self.remember(self.trailers, block, trailers)
        return trailers

    def take_data(self, stream: UpstreamStream, data: bytes, is_end: bool) -> None:
        """Pass payload on."""
        exchange = stream.exchange
        if exchange is None:
            return
        if not stream.has_head:
            self.stream_failed(stream, ErrorCode.PROTOCOL_ERROR)
            return
        stream.take_data(exchange, data)
        if is_end and stream.exchange is not None:
            stream.take_end(exchange)

    def reset_by_peer(self, stream: UpstreamStream, code: int) -> None:
        """Take the end of a stream."""
        stream.is_unprocessed = code == ErrorCode.REFUSED_STREAM
        stream.is_closed = True
        stream.lost()

    def stream_failed(self, stream: UpstreamStream, code: ErrorCode) -> None:
        """End an answer that breaks the rules."""
        exchange, stream.exchange = stream.exchange, None
        self.reset(stream, code)
        if exchange is not None:
            exchange.upstream_lost(stream)

    def frame_for_nobody(self, stream_id: int) -> None:
        """Take a frame of a stream that is over: its request was taken back, or its answer was cut short."""
        self.check_not_idle(stream_id)

    def settings_changed(self) -> None:
        """Know that the peer speaks HTTP/2."""
        if not self.settled.done():
            self.settled.set_result(None)

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Let the streams that the peer has taken end; the others may be sent elsewhere."""
        self.is_leaving = True
        self._pool.leaves(self)
        for stream in list(self.streams.values()):
            if stream.id > last_stream_id:
                stream.is_unprocessed = True
                stream.lost()
        if not self._taken:
            self.shut()

    def failed(self, error: ConnectionFailed) -> None:
        """Close: the peer does not speak HTTP/2."""
        self.transport.abort()
        self.connection_lost(error)

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast(asyncio.Transport, transport)
        limits = self.limits
        self.transport.set_write_buffer_limits(high=limits.body_high_bytes, low=limits.body_low_bytes)
        self._pool.opened(self)
        self.greet()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's loss."""
        if self not in self._pool.sessions:
            return
        self.is_lost = True
        if not self.settled.done():
            self.settled.set_exception(ConnectionResetError("the upstream does not speak HTTP/2"))
            self.settled.exception()
        self._pool.lost(self)
        for stream in list(self._taken):
            stream.is_closed = True
            stream.lost()
