"""The client's side of an HTTP/2 connection: each stream is a request with an exchange of its own.

`ClientStream` is to its exchange what `ClientConnection` is to an HTTP/1.1 one. The session refuses what is malformed
or too much; where a request goes is not its matter.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import h2.events
from h2.errors import ErrorCodes

from tidegate.contracts import outcomes
from tidegate.wire import answers, h2_floods
from tidegate.wire.client_socket import Pause
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure, HeaderLine
from tidegate.wire.h2_exchange import StreamExchange
from tidegate.wire.h2_heads import Headers, RequestHead, answer_headers, trailers_of
from tidegate.wire.h2_session import STREAMS_LIMIT, Session
from tidegate.wire.h2_stream import Stream
from tidegate.wire.head_reader import HeadRefused

if TYPE_CHECKING:
    from tidegate.wire.server import Server


class ClientStream(Stream["ClientSession"]):
    """One request of the client, as its exchange sees the client."""

    __slots__ = (
        "_is_held",
        "exchange",
        "filed_until",
        "is_write_paused",
        "keep_alive",
        "limits",
        "server",
        "transport",
    )

    def __init__(self, session: ClientSession, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self.server = session.server
        self.limits = session.server.limits
        self.transport = session.transport
        self.filed_until = NEVER
        self.keep_alive = True  # of no meaning here; exchanges write it
        self.is_write_paused = False
        self._is_held = False
        self.exchange: StreamExchange | None = None

    # --- the request ---

    def begin(self, head: RequestHead) -> None:
        """Hand the request to an exchange."""
        self.exchange = StreamExchange(self, head.request, head.block, head.length)
        self.exchange.start()

    def take_body(self, pieces: list[bytes], trailers: tuple[HeaderLine, ...] = (), *, is_last: bool = False) -> None:
        """Pass body pieces on; their window opens when an upstream has taken them."""
        exchange = self.exchange
        if exchange is None or exchange.body is None:
            self.consumed()
            return
        exchange.body.take(pieces, trailers, is_last=is_last)
        if exchange.body.is_attached and not self._is_held:
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
            self.session.reset(self, ErrorCodes.NO_ERROR)

    def exchange_ended(self, now: float) -> None:
        """Take the end of the exchange; what is left of the answer may still wait for windows."""
        self.exchange = None
        self.consumed()
        if self.is_out_done:
            self.out_done()
        elif self.is_stuck:
            self.arm(self.next_deadline())

    def break_off(self) -> None:
        """End the stream in a way that the client sees its answer incomplete."""
        self.session.reset(self, ErrorCodes.INTERNAL_ERROR)

    def lost(self) -> None:
        """Take the client's loss of interest."""
        self.is_closed = True
        if self.exchange is not None:
            self.exchange.client_lost()
        self.session.forget(self)

    # --- timers ---

    def arm(self, deadline: float) -> None:
        """See to it that `expire` is called by `deadline`."""
        if deadline < self.filed_until:
            self.server.deadlines.watch(self, deadline)

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
            self.session.reset(self, ErrorCodes.ENHANCE_YOUR_CALM)

    def close(self) -> None:
        """Leave the timers too."""
        super().close()
        self.server.deadlines.forget(self)


class ClientSession(Session):
    """One HTTP/2 connection from a client."""

    __slots__ = ("_floods", "_is_closing", "_last_id", "_peer", "server")

    streams: dict[int, ClientStream]

    def __init__(self, server: Server, transport: asyncio.Transport, peer: str) -> None:
        super().__init__(is_client=False)
        self.server = server
        self.transport = transport
        self._peer = peer
        self._floods = h2_floods.FloodGuard()
        self._is_closing = False
        self._last_id = 0  # after our GOAWAY: streams above it are not served
        server.connection_opened(self)
        self._file()

    # --- reading ---

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self.server.counters.bytes_in += len(data)
        super().data_received(data)

    def take(self, event: h2.events.Event) -> None:
        """Act on one event."""
        if isinstance(event, h2.events.DataReceived):
            self._take_data(event)
        elif isinstance(event, h2.events.RequestReceived):
            self._begin(event.stream_id, event.headers, ended=event.stream_ended is not None)
        elif isinstance(event, h2.events.TrailersReceived):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.is_in_done = True
                trailers = trailers_of(event.headers, self.server.request_kinds)
                stream.take_body([], trailers, is_last=True)
        elif isinstance(event, h2.events.StreamReset):
            self._spend(h2_floods.RESET)
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.lost()
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._spend(h2_floods.SETTINGS)
        elif isinstance(event, h2.events.PingReceived):
            self._spend(h2_floods.PING)
        elif isinstance(event, h2.events.PriorityUpdated | h2.events.UnknownFrameReceived):
            self._spend(h2_floods.EMPTY)

    def _take_data(self, event: h2.events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            self.acknowledge(event.stream_id, event.flow_controlled_length)
            return
        is_last = event.stream_ended is not None
        if not event.data and not is_last:
            self._spend(h2_floods.EMPTY)
        stream.received(event.flow_controlled_length)
        stream.is_in_done = is_last
        stream.take_body([event.data] if event.data else [], is_last=is_last)

    def _begin(self, stream_id: int, headers: Headers, *, ended: bool) -> None:
        stream = ClientStream(self, stream_id)
        stream.is_in_done = ended
        if self._last_id or self._is_closing or len(self.streams) >= STREAMS_LIMIT:
            self._spend(h2_floods.REFUSED)
            self.reset(stream, ErrorCodes.REFUSED_STREAM)
            return
        self.streams[stream_id] = stream
        server = self.server
        try:
            head = RequestHead(
                headers,
                ended=ended,
                kinds=server.request_kinds,
                limits=server.limits,
                peer=self._peer,
                arrived=time.monotonic(),
            )
        except HeadRefused as refused:
            self._spend(h2_floods.REFUSED)
            self._refuse(stream, refused.reason)
            return
        server.counters.requests += 1
        stream.begin(head)

    def _refuse(self, stream: ClientStream, reason: outcomes.Reason) -> None:
        """Answer a head that never became a request."""
        self.server.answered(reason.code, reason.status, None, self._peer)
        rendered = answers.render(answers.answer_of(reason), None, keep_alive=True)
        head, _, body = rendered.partition(b"\r\n\r\n")
        stream.put_head(answer_headers(reason.status, head))
        stream.put([body])
        stream.end()

    def _spend(self, kind: str) -> None:
        if not self._is_closing and not self._floods.spend(kind, time.monotonic()):
            self.server.counters.flooded(kind)
            self.go_away(ErrorCodes.ENHANCE_YOUR_CALM)
            self._cut(lingers=True)

    def broken(self, error: Exception) -> None:
        """Close: the GOAWAY that says why is written."""
        if self.connection.is_flooded:
            self.server.counters.flooded("headers")
        self._cut(lingers=True)

    def sent(self, count: int) -> None:
        """Count bytes written."""
        self.server.counters.bytes_out += count

    # --- timers ---

    def _file(self) -> None:
        deadline = self.next_deadline()
        if deadline < self.filed_until:
            self.server.deadlines.watch(self, deadline)

    def next_deadline(self) -> float:
        """Return when an idle or closing connection has had its time."""
        timers = self.server.timers
        if self._is_closing:
            return self.since + timers.linger_s
        if self.streams or not timers.keep_alive_s:
            return NEVER
        return self.since + timers.keep_alive_s

    def expire(self, now: float) -> None:
        """Close an idle connection; cut one off whose peer does not read its end."""
        if self._is_closing:
            self.transport.abort()
        elif not self.streams:
            self.go_away()
            self._cut()

    def emptied(self) -> None:
        """Close after the last stream of a drain; else begin to be idle."""
        if self._last_id and not self._is_closing:
            self._loop.call_soon(self._close_if_idle)
        self._file()

    # --- end ---

    def drain(self) -> None:
        """Take no more streams; close when those that run have ended."""
        self._last_id = self.connection.highest_inbound_stream_id or 1
        self.go_away()
        if not self.streams:
            self._cut()

    def end_now(self) -> None:
        """End every stream and close."""
        self._last_id = self._last_id or 1
        for stream in list(self.streams.values()):
            if stream.exchange is not None:
                stream.exchange.fail(Failure.DRAINED)
        self.flush()
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
        self._file()
