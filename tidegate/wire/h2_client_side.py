"""The client's side of an HTTP/2 connection: each stream is a request with an exchange of its own.

`ClientStream` is to its exchange what `ClientConnection` is to an HTTP/1.1 one. The session refuses what is malformed
or too much; where a request goes is not its matter. One filing in the deadlines serves all streams.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tidegate.contracts import outcomes
from tidegate.wire import answers, h2_floods
from tidegate.wire import h2_frames as frames
from tidegate.wire.chunked import CHUNKED
from tidegate.wire.client_socket import Pause
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure, HeaderLine
from tidegate.wire.h2_exchange import StreamExchange
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_heads import HeadMalformed, RequestHead, encoded_answer, trailers_of
from tidegate.wire.h2_session import HEADS_KEPT, STREAMS_LIMIT, Session
from tidegate.wire.h2_stream import Stream
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.limits import Limits

if TYPE_CHECKING:
    from tidegate.wire.server import Server

FIRST_WINDOW_BYTES = 64 * 1024
"""What a client may send on a stream before an upstream takes it: a held request keeps no more than this."""
DRAIN_PING = b"tidegate"
DRAIN_PING_S = 1.0
"""A client that does not answer our PING by then has seen the first GOAWAY, or will see the second."""


class ClientStream(Stream["ClientSession"]):
    """One request of the client, as its exchange sees the client."""

    __slots__ = ("_is_held", "exchange", "is_write_paused", "keep_alive", "server")

    def __init__(self, session: ClientSession, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self.server = session.server
        self.keep_alive = True  # of no meaning here; exchanges write it
        self.is_write_paused = False
        self._is_held = False
        self.exchange: StreamExchange | None = None

    @property
    def limits(self) -> Limits:
        """The server's."""
        return self.server.limits

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's."""
        return self.session.transport

    # --- the request ---

    def take_body(self, pieces: list[bytes], trailers: tuple[HeaderLine, ...] = (), *, is_last: bool = False) -> None:
        """Pass body pieces on; their window opens when an upstream has taken them."""
        exchange = self.exchange
        if exchange is None or exchange.body is None:
            self.consumed()
            return
        body = exchange.body
        body.take(pieces, trailers, is_last=is_last)
        if not is_last and body.is_attached and not self._is_held:
            self.consumed()

    def pause(self, why: int) -> None:
        """Keep the window shut: the upstream is slow or not there yet."""
        if why == Pause.BODY:
            self._is_held = True

    def resume(self, why: int) -> None:
        """Open the window."""
        if why == Pause.BODY:
            self._is_held = False
            self.consumed()

    # --- the answer ---

    def out_full(self) -> None:
        """Make the upstream wait."""
        self.is_write_paused = True
        if self.exchange is not None:
            self.exchange.client_paused()

    def out_free(self) -> None:
        """Let the upstream go on."""
        self.is_write_paused = False
        if self.exchange is not None:
            self.exchange.client_resumed()

    def out_done(self) -> None:
        """End the stream: the answer was sent, whatever is left of the request is not wanted."""
        if self.exchange is not None:
            return  # it is about to end
        if self.is_in_done:
            self.session.forget(self)
        else:
            self.session.reset(self, ErrorCode.NO_ERROR)

    def exchange_ended(self, now: float) -> None:
        """Take the end of the exchange; what is left of the answer may still wait for windows."""
        self.exchange = None
        if self.is_out_done:
            self.out_done()
        elif self.is_stuck:
            self.arm(self.next_deadline())

    def break_off(self) -> None:
        """End the stream in a way that the client sees its answer incomplete."""
        self.session.reset(self, ErrorCode.INTERNAL_ERROR)

    def lost(self) -> None:
        """Take the client's loss of interest."""
        self.is_closed = True
        if self.exchange is not None:
            self.exchange.client_lost()
        self.session.forget(self)

    # --- timers ---

    @property
    def filed_until(self) -> float:
        """When its session will be asked at the latest."""
        return self.session.filed_until

    def arm(self, deadline: float) -> None:
        """See to it that `expire` is called by `deadline`."""
        self.session.arm(deadline)

    def next_deadline(self) -> float:
        """Return when the earliest timer fires: the exchange's, or that of an answer the client does not take."""
        if self.exchange is not None:
            return self.exchange.next_deadline()
        limit_s = self.server.timers.stalled_s
        return self.moved_at + limit_s if limit_s and self.is_stuck else NEVER

    def expire(self, now: float) -> None:
        """Act on the timer that fired."""
        if self.exchange is not None:
            self.exchange.expire(now)
        elif not self.is_closed:
            self.server.counters.flooded("stalled")
            self.session.reset(self, ErrorCode.ENHANCE_YOUR_CALM)


class ClientSession(Session):
    """One HTTP/2 connection from a client."""

    __slots__ = ("_drain_since", "_floods", "_is_closing", "_is_last_call", "_peer", "server")

    streams: dict[int, ClientStream]

    def __init__(self, server: Server, transport: asyncio.Transport, peer: str) -> None:
        super().__init__(is_client=False, first_window_bytes=FIRST_WINDOW_BYTES)
        self.server = server
        self.transport = transport
        self._peer = peer
        self._floods = h2_floods.FloodGuard()
        self._is_closing = False
        self._drain_since = 0.0  # when a drain was announced
        self._is_last_call = False  # the final GOAWAY is out: streams that come now are refused
        server.connection_opened(self)
        self.arm(self.next_deadline())

    # --- reading ---

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self.server.counters.bytes_in += len(data)
        super().data_received(data)

    def on_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        """Take a request's head, or its trailers."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._take_trailers(stream, block, is_end=is_end)
        elif stream_id > self.highest_id and stream_id & 1:
            self.highest_id = stream_id
            self._begin(stream_id, block, is_end=is_end)
        else:
            self._take_late_headers(stream_id, block)

    def _begin(self, stream_id: int, block: bytes, *, is_end: bool) -> None:
        stream = ClientStream(self, stream_id)
        stream.is_in_done = is_end
        try:
            head = (self.heads_ended if is_end else self.heads).get(block) or self._read_head(block, is_end=is_end)
        except HeadRefused as refused:
            self._refuse(stream, refused)
            return
        if self._is_last_call or len(self.streams) >= STREAMS_LIMIT:
            self.reset(stream, ErrorCode.REFUSED_STREAM)
            self.spend(h2_floods.REFUSED)
            return
        self.streams[stream_id] = stream
        if head.length != CHUNKED:
            stream.expected = head.length
        self.server.counters.requests += 1
        request = head.request(self._peer, time.monotonic())
        stream.exchange = exchange = StreamExchange(stream, head, request)
        exchange.start()

    def _read_head(self, block: bytes, *, is_end: bool) -> RequestHead:
        headers, is_lasting = self.decode(block)
        if self.is_list_too_large:
            raise HeadRefused(outcomes.HEAD_TOO_LARGE)
        head = RequestHead(headers, ended=is_end, kinds=self.server.request_kinds, limits=self.server.limits)
        if is_lasting:
            heads = self.heads_ended if is_end else self.heads
            if len(heads) >= HEADS_KEPT:
                heads.clear()
            heads[block] = head
        return head

    def _take_trailers(self, stream: ClientStream, block: bytes, *, is_end: bool) -> None:
        headers, _ = self.decode(block)
        if stream.is_in_done:
            self.stream_failed(stream, ErrorCode.STREAM_CLOSED)
            return
        try:
            trailers = trailers_of(headers, self.server.request_kinds)
        except HeadMalformed:
            is_end = False
            trailers = ()
        if not is_end or stream.expected > 0:
            self.stream_failed(stream, ErrorCode.PROTOCOL_ERROR)
            return
        stream.is_in_done = True
        stream.take_body([], trailers, is_last=True)

    def _take_late_headers(self, stream_id: int, block: bytes) -> None:
        self.decode(block)
        if not stream_id & 1:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a client opens streams with odd numbers")
        if not self.was_reset(stream_id):
            raise ConnectionFailed(ErrorCode.STREAM_CLOSED, f"stream {stream_id} has ended")

    def take_data(self, stream: ClientStream, data: bytes, is_end: bool) -> None:
        """Pass payload on."""
        stream.take_body([data] if data else [], is_last=is_end)

    def reset_by_peer(self, stream: ClientStream, code: int) -> None:
        """End a request that its client gives up."""
        stream.lost()

    def stream_failed(self, stream: ClientStream, code: ErrorCode) -> None:
        """End a request whose client broke a rule."""
        self.reset(stream, code)
        if stream.exchange is not None:
            stream.exchange.fail(Failure.BAD_REQUEST)
        self.spend(h2_floods.REFUSED)

    def _refuse(self, stream: ClientStream, refused: HeadRefused) -> None:
        """Answer a head that never became a request, or reset what is no HTTP at all."""
        self.server.answered(refused.reason.code, refused.reason.status, None, self._peer)
        if isinstance(refused, HeadMalformed):
            self.reset(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self.streams[stream.id] = stream
            rendered = answers.render(answers.answer_of(refused.reason), None, keep_alive=True)
            head, _, body = rendered.partition(b"\r\n\r\n")
            stream.put_head(encoded_answer(refused.reason.status, head))
            stream.put([body])
            stream.end()
        self.spend(h2_floods.REFUSED)

    def spend(self, kind: str) -> None:
        """Count a cheap frame. Raises ConnectionFailed when there are too many of its kind."""
        if not self._floods.spend(kind, time.monotonic()):
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, f"too many frames: {kind}", flood=kind)

    def failed(self, error: ConnectionFailed) -> None:
        """Close."""
        if error.flood:
            self.server.counters.flooded(error.flood)
        self._cut(lingers=True)

    def sent(self, count: int) -> None:
        """Count bytes written."""
        self.server.counters.bytes_out += count

    # --- timers ---

    def arm(self, deadline: float) -> None:
        """See to it that `expire` is called by `deadline`."""
        if deadline < self.filed_until:
            self.server.deadlines.watch(self, deadline)

    def next_deadline(self) -> float:
        """Return when a stream's timer fires, or when an idle or closing connection has had its time."""
        deadline = self._own_deadline()
        for stream in self.streams.values():
            deadline = min(deadline, stream.next_deadline())
        return deadline

    def _own_deadline(self) -> float:
        timers = self.server.timers
        if self._is_closing:
            return self.since + timers.linger_s
        if self._drain_since and not self._is_last_call:
            return self._drain_since + DRAIN_PING_S
        if self.streams or not timers.keep_alive_s:
            return NEVER
        return self.since + timers.keep_alive_s

    def expire(self, now: float) -> None:
        """Act on the timers that fired."""
        for stream in list(self.streams.values()):
            if stream.next_deadline() <= now:
                stream.expire(now)
        if self._own_deadline() <= now:
            self._expire_own()
        if not self._is_closing or not self.transport.is_closing():
            self.arm(self.next_deadline())

    def _expire_own(self) -> None:
        """Close an idle connection; cut one off whose peer does not read its end."""
        if self._is_closing:
            self.transport.abort()
        elif self._drain_since and not self._is_last_call:
            self._call_last()
        else:
            self.go_away()
            self._cut()

    def emptied(self) -> None:
        """Close after the last stream of a drain; else begin to be idle."""
        if self._is_last_call and not self._is_closing:
            self._loop.call_soon(self._close_if_idle)
        self.arm(self._own_deadline())

    # --- end ---

    def drain(self) -> None:
        """Take no more streams, after those that are on their way; close when all have ended.

        RFC 9113 section 6.8: first a GOAWAY that refuses nothing, and a round trip later the one that does.
        """
        if self._drain_since or self._is_closing:
            return
        self._drain_since = time.monotonic()
        self.go_away(last_id=frames.LARGEST_STREAM_ID)
        self._out.append(frames.ping(DRAIN_PING, is_ack=False))
        self.flush_now()
        self.arm(self.next_deadline())

    def ping_answered(self) -> None:
        """Go on with a drain: whatever the client sent before it knew of it has arrived."""
        if self._drain_since and not self._is_last_call:
            self._call_last()

    def _call_last(self) -> None:
        self._is_last_call = True
        self.go_away()
        if not self.streams:
            self._loop.call_soon(self._close_if_idle)

    def end_now(self) -> None:
        """End every stream and close."""
        self._is_last_call = True
        for stream in list(self.streams.values()):
            if stream.exchange is not None:
                stream.exchange.fail(Failure.DRAINED)
        self.go_away()
        self._cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's loss: every upstream is told."""
        self.is_lost = True
        for stream in list(self.streams.values()):
            stream.lost()
        self.server.connection_lost(self)

    def _close_if_idle(self) -> None:
        self.flush()
        if not self.streams:
            self._cut()

    def _cut(self, *, lingers: bool = False) -> None:
        """Close after what is written was sent; streams that run end as left by their client.

        With `lingers` input is dropped for a while: closing with unread input would reset, and our GOAWAY with it.
        """
        if self._is_closing:
            return
        self._is_closing = True
        self.since = time.monotonic()
        for stream in list(self.streams.values()):
            stream.lost()
        self.is_lost = True
        if lingers and not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
        self.arm(self._own_deadline())
