"""The client's side of an HTTP/2 connection: each stream is a request with an exchange of its own (`h2_client_stream`).

The session refuses what is malformed
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
from tidegate.wire.client_socket import unsent_bytes
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure
from tidegate.wire.h2_client_stream import ClientStream
from tidegate.wire.h2_exchange import StreamExchange
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_heads import HeadMalformed, RequestHead, encoded_answer, trailers_of
from tidegate.wire.h2_session import STREAMS_LIMIT, Session
from tidegate.wire.head_reader import HeadRefused

if TYPE_CHECKING:
    from tidegate.wire.server import Server

FIRST_WINDOW_BYTES = 64 * 1024
"""What a client may send on a stream before an upstream takes it: a held request keeps no more than this."""
DRAIN_PING = b"tidegate"
DRAIN_PING_S = 1.0
"""A client that does not answer our PING by then has seen the first GOAWAY, or will see the second."""


class ClientSession(Session):
    """One HTTP/2 connection from a client."""

    __slots__ = (
        "_drain_since",
        "_floods",
        "_is_closing",
        "_is_last_call",
        "_peer",
        "_stalled_at",
        "_unsent_bytes",
        "server",
    )

    streams: dict[int, ClientStream]

    def __init__(self, server: Server, transport: asyncio.Transport, peer: str) -> None:
        super().__init__(is_client=False, first_window_bytes=FIRST_WINDOW_BYTES)
        self.server = server
        self.transport = transport
        self._peer = peer
        self._floods = h2_floods.FloodGuard()
        self._is_closing = False
        self._drain_since = 0.0  # when a drain was announced
        self._stalled_at = NEVER
        self._unsent_bytes = 0
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
        if self._is_full:
            self.reset(stream, ErrorCode.REFUSED_STREAM)
            self.spend(h2_floods.REFUSED)
            return
        self.streams[stream_id] = stream
        if head.length != CHUNKED:
            stream.expected = head.length
        self.server.counters.requests += 1
        now = time.monotonic()
        stream.exchange = exchange = StreamExchange(stream, head, head.request(self._peer, now))
        exchange.start()
        if not is_end:
            stream.wait_for_body(now)

    @property
    def _is_full(self) -> bool:
        """Whether no stream may begin: there are as many as was announced, or the connection is to end."""
        return self._is_last_call or len(self.streams) >= STREAMS_LIMIT

    def _read_head(self, block: bytes, *, is_end: bool) -> RequestHead:
        headers, is_lasting = self.decode(block)
        if self.is_list_too_large:
            raise HeadRefused(outcomes.HEAD_TOO_LARGE)
        head = RequestHead(headers, ended=is_end, kinds=self.server.request_kinds, limits=self.server.limits)
        if is_lasting:
            self.remember(self.heads_ended if is_end else self.heads, block, head)
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
        if not is_end or stream.expected > 0 or self.is_list_too_large:
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
        elif self._is_full:
            self.reset(stream, ErrorCode.REFUSED_STREAM)
        else:
            self.streams[stream.id] = stream
            rendered = answers.render(answers.answer_of(refused.reason), None, keep_alive=True)
            head, _, body = rendered.partition(b"\r\n\r\n")
            stream.put_head(encoded_answer(refused.reason.status, head))
            stream.put([body])
            stream.end()
            self.arm(stream.next_deadline())  # it may have to wait for windows
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
        if self._stalled_at != NEVER:
            return self._stalled_at
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
        elif self._stalled_at != NEVER:
            self._check_stalled()
        elif self._drain_since and not self._is_last_call:
            self._call_last()
        else:
            self.go_away()
            self._cut()

    def pause_writing(self) -> None:
        """Let streams wait, for a while: the peer does not read."""
        super().pause_writing()
        self._note_unsent()

    def resume_writing(self) -> None:
        """Send on."""
        self._stalled_at = NEVER
        super().resume_writing()

    def _note_unsent(self) -> None:
        limit_s = self.server.timers.stalled_s
        if limit_s:
            self._unsent_bytes = unsent_bytes(self.transport)
            self._stalled_at = time.monotonic() + limit_s
            self.arm(self._stalled_at)

    def _check_stalled(self) -> None:
        if unsent_bytes(self.transport) < self._unsent_bytes:
            self._note_unsent()  # it reads, slowly
        else:
            self.server.counters.clients_stalled += 1
            self.transport.abort()

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
        if self.server.connection_lost(self):
            self.server.crowd.leave(self._peer)

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
