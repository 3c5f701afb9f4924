"""The upstream's side of an HTTP/2 connection: many exchanges at once, each on a stream of its own.

`UpstreamStream` is to its exchange what `UpstreamConnection` is for HTTP/1.1. It knows no clients and no retries.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import h2.events
import h2.exceptions
from h2.errors import ErrorCodes

from tidegate.wire import chunked, header_rules
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.h2_heads import Headers, StreamAnswer, request_headers, trailers_of
from tidegate.wire.h2_session import STREAMS_LIMIT, Session
from tidegate.wire.h2_stream import Stream
from tidegate.wire.head_reader import HeadRefused

if TYPE_CHECKING:
    from tidegate.wire.exchange import Exchange
    from tidegate.wire.h2_pool import StreamPool
    from tidegate.wire.tunnel import Tunnel

TRAILER_KINDS = header_rules.answer_kinds()
LAST_STREAM_ID = 1 << 30


class UpstreamStream(Stream["UpstreamSession"]):
    """One request to an upstream. It opens its stream when it is sent."""

    __slots__ = (
        "_in_trailers",
        "_is_counting",
        "_is_head_request",
        "_is_reading_paused",
        "exchange",
        "has_answered",
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
        self._is_head_request = False
        self._is_reading_paused = False
        self._is_counting = False  # the bytes of an answer that did not announce its length
        self._in_trailers: tuple[HeaderLine, ...] = ()

    # --- called by the exchange ---

    def send_request(self, exchange: Exchange, request: Request, block: bytes, *, has_body: bool) -> bool:
        """Open the stream with this request; its body follows by `send_body`. False when the connection is lost."""
        self.exchange = exchange
        self._is_head_request = request.method == b"HEAD"
        self.is_out_done = not has_body
        if self.is_closed or not self.session.open(self, request_headers(request, block)):
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
            self.session.reset(self, ErrorCodes.NO_ERROR if reusable else ErrorCodes.CANCEL)

    def abort(self) -> None:
        """Take the request back."""
        self.exchange = None
        self.session.reset(self, ErrorCodes.CANCEL)

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

    def take_head(self, headers: Headers, *, ended: bool) -> None:
        """Take an answer's head, final or interim."""
        exchange = self.exchange
        assert exchange is not None
        self.has_answered = True
        try:
            answer = StreamAnswer(headers, ended=ended, to_head_request=self._is_head_request)
        except HeadRefused:
            self.lost()
            return
        if answer.status < 200:
            exchange.interim_answer(answer)
            return
        head = exchange.answer_began(answer)
        self._is_counting = answer.length < 0
        if head:
            exchange.write_answer(head)

    def take_data(self, data: bytes, count: int) -> None:
        """Take payload; the window opens when the client's side has room."""
        exchange = self.exchange
        assert exchange is not None
        self.received(count)
        if self._is_counting:
            exchange.answer_bytes += len(data)
        if data:
            exchange.write_pieces(chunked.encode_chunks([data]) if exchange.is_chunking else (data,))
        if not self._is_reading_paused:
            self.consumed()

    def take_trailers(self, headers: Headers) -> None:
        """Keep trailers for the end."""
        self._in_trailers = trailers_of(headers, TRAILER_KINDS)

    def take_end(self) -> None:
        """Take the end of the answer."""
        self.is_in_done = True
        exchange = self.exchange
        if exchange is None:
            return
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

    __slots__ = ("_pool", "_taken", "has_served", "is_leaving", "key", "settled")

    streams: dict[int, UpstreamStream]

    def __init__(self, pool: StreamPool, key: tuple[str, int]) -> None:
        super().__init__(is_client=True)
        self._pool = pool
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
        if self.is_lost or self.is_leaving:
            return False
        limit = min(self.connection.remote_settings.max_concurrent_streams, STREAMS_LIMIT)
        return len(self._taken) < limit and (self.connection.highest_outbound_stream_id or 0) < LAST_STREAM_ID

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

    def open(self, stream: UpstreamStream, headers: Headers) -> bool:
        """Open a stream with its head; False when the connection takes none any more."""
        if self.is_lost:
            return False
        stream_id = self.connection.get_next_available_stream_id()
        try:
            self.connection.send_headers(stream_id, headers, end_stream=stream.is_out_done)
        except h2.exceptions.ProtocolError:
            return False
        stream.id = stream_id
        self.streams[stream_id] = stream
        self.want_flush()
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
        self.since = time.monotonic()
        if not self._taken:
            if self.is_leaving:
                self._loop.call_soon(self.shut)
            else:
                self._pool.idle(self)

    # --- events ---

    def take(self, event: h2.events.Event) -> None:
        """Act on one event."""
        if isinstance(event, h2.events.ConnectionTerminated):
            self._peer_leaves(event.last_stream_id or 0)
            return
        if isinstance(event, h2.events.RemoteSettingsChanged):
            if not self.settled.done():
                self.settled.set_result(None)
            return
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            if stream is None or stream.exchange is None:
                self.acknowledge(event.stream_id, event.flow_controlled_length)
            else:
                stream.take_data(event.data, event.flow_controlled_length)
        elif stream is None or stream.exchange is None:
            return
        elif isinstance(event, h2.events.ResponseReceived | h2.events.InformationalResponseReceived):
            ended = isinstance(event, h2.events.ResponseReceived) and event.stream_ended is not None
            stream.take_head(event.headers, ended=ended)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.take_trailers(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.take_end()
        elif isinstance(event, h2.events.StreamReset):
            stream.is_unprocessed = event.error_code == ErrorCodes.REFUSED_STREAM
            stream.is_closed = True
            stream.lost()

    def _peer_leaves(self, last_stream_id: int) -> None:
        self.is_leaving = True
        self._pool.leaves(self)
        for stream in list(self.streams.values()):
            if stream.id > last_stream_id:
                stream.is_unprocessed = True
                stream.lost()
        if not self._taken:
            self.shut()

    def broken(self, error: Exception) -> None:
        """Close: the peer does not speak HTTP/2."""
        self.transport.abort()
        self.connection_lost(error)

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast(asyncio.Transport, transport)
        limits = self._pool.limits
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
