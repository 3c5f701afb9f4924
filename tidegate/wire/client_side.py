"""The client's side of the engine: one connection, its requests one after the other.

It reads heads and bodies and hands each request to an `Exchange`; bytes behind a request wait unparsed until its
answer has ended, so answers come in the order of requests. End of input from the client means that it left (as Go's
server and nginx take it), except in a tunnel. It decides nothing about where a request goes.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from tidegate.contracts import outcomes
from tidegate.wire import answers, chunked
from tidegate.wire.chunked import BodyError
from tidegate.wire.client_socket import Pause, State
from tidegate.wire.client_timers import TimedClient
from tidegate.wire.director import Failure
from tidegate.wire.exchange import Exchange
from tidegate.wire.h2_frames import PREFACE
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.header_rules import clean_trailers
from tidegate.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from tidegate.wire.server import Server


class ClientConnection(TimedClient):
    """One connection from a client."""

    __slots__ = (
        "_backlog",
        "_discarded_bytes",
        "_has_entered",
        "_is_http1",
        "_is_told",
        "_peer",
        "_tunnel",
        "keep_alive",
        "limits",
    )

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        # connection
        self.limits = server.limits
        self._peer = ""
        self._backlog = b""
        self._is_http1 = False
        self._is_told = False  # that there are too many
        self._has_entered = False  # before it was made
        # request
        self.keep_alive = True
        self._discarded_bytes = 0
        self._tunnel: Tunnel | None = None

    # --- called by who accepts connections that have to shake hands ---

    def enter_early(self, peer: str) -> None:
        """Note that it has its place in the crowd, as `peer`'s."""
        self._peer, self._has_entered = peer, True

    def leave_early(self) -> None:
        """Give the place back if the connection was not made."""
        if self._has_entered:
            self._has_entered = False
            self.server.crowd.leave(self._peer)

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self.limits.body_high_bytes, low=self.limits.body_low_bytes)
        crowd = self.server.crowd
        if not self._has_entered:
            peer = transport.get_extra_info("peername")
            self._peer = peer[0] if peer else ""
        if self._has_entered or crowd.enter(self._peer):
            self._has_entered = False
            self.server.connection_opened(self)
            self._enter_head(time.monotonic())
            return
        self.server.counters.connections_refused += 1
        self.state = State.CLOSED
        if crowd.refuse():
            self._is_told = True
            self.server.connection_opened(self)
            self.state = State.HEAD
            self._refuse(outcomes.TOO_MANY_CONNECTIONS)
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read request bytes."""
        self.server.counters.bytes_in += len(data)
        if self.state == State.HEAD and self._head.is_alone(data) and not self._backlog and not self.is_write_paused:
            self._begin_again()
            return
        if self._backlog or self.is_write_paused:
            self._consume_later(data)
            return
        position = self._read_head(data, 0) if self.state == State.HEAD else 0
        if position < len(data):
            self._consume(data, position)

    def eof_received(self) -> bool:
        """Take the client's end of input."""
        if self._tunnel is not None:
            return self._tunnel.half_closed(by_client=True)
        self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's loss."""
        self._left()
        if self.server.connection_lost(self):
            if self._is_told:
                self.server.crowd.told_left()
            else:
                self.server.crowd.leave(self._peer)

    def pause_writing(self) -> None:
        """Make the upstream wait: this client reads slowly."""
        self._begin_write_pause()
        if self.exchange is not None:
            self.exchange.client_paused()

    def resume_writing(self) -> None:
        """Let the upstream go on, or the next request."""
        self._end_write_pause()
        if self.exchange is not None:
            self.exchange.client_resumed()
        elif self.state == State.HEAD:
            self._enter_head(time.monotonic())
            if self._backlog:
                self._release_backlog()

    # --- reading ---

    def _consume_later(self, data: bytes) -> None:
        if self._backlog:
            self._hold(data, 0)
        else:
            self._consume(data, 0)

    def _consume(self, data: bytes, position: int) -> None:
        size = len(data)
        while position < size:
            state = self.state
            if state == State.HEAD:
                if self.is_write_paused:  # answers wait already: a client that reads none gets no more
                    self._hold(data, position)
                    return
                position = self._read_head(data, position)
            elif state == State.BODY or state == State.DISCARD:
                position = self._read_body(data, position)
            elif state == State.HOLD:
                self._hold(data, position)
                return
            elif state == State.TUNNEL and self._tunnel is not None:
                self._tunnel.from_client(data[position:])
                return
            else:
                return

    def _sniff(self, data: bytes) -> int:
        """Tell HTTP/2 from HTTP/1.1 by the connection's first bytes."""
        data = self._sniffed + data
        if data[: len(PREFACE)] == PREFACE[: len(data)]:
            self._sniffed = data
            if len(data) < len(PREFACE):
                self._wait_for_head()
            else:
                self.state = State.CLOSED
                session = self.server.becomes_h2(self, self._peer)
                self.transport.set_protocol(cast(asyncio.Protocol, session))
                session.greet()
                self.server.counters.bytes_in -= len(data)  # the session counts them once more
                session.data_received(data)
        else:
            self._is_http1 = True
            self._sniffed = b""
            self._consume(data, 0)
        return len(data)

    def _read_head(self, data: bytes, position: int) -> int:
        if not self._is_http1:
            return self._sniff(data)
        head = self._head
        try:
            position = head.feed(data, position)
            if not head.done:
                self._wait_for_head()
                return position
            request = head.take(self._peer, time.monotonic())
        except HeadRefused as refused:
            self._refuse(refused.reason)
            return len(data)
        self.server.counters.requests += 1
        self.keep_alive = head.keep_alive and not self.server.is_draining
        self._is_head_timed = False
        exchange = Exchange(self, request, head.begin, head.length)
        self.exchange = exchange
        if head.length == 0:
            self.state = State.HOLD
        else:
            self.state = State.BODY
            self._body = chunked.body_of(head.length)
            if position < len(data):
                position = self._read_body(data, position)
                if self._has_refused():
                    return position  # malformed: refused before the director was asked
            if self._has_body_left():
                self._wait_for_body(request.arrived)
        head.reset()
        exchange.start()
        return position

    def _begin_again(self) -> None:
        """Take a request without body whose head is the last one once more: what busy clients send."""
        head, server = self._head, self.server
        server.counters.requests += 1
        self.keep_alive = not server.is_draining
        self.state = State.HOLD
        self.exchange = exchange = Exchange(self, head.again(self._peer, time.monotonic()), head.begin, 0)
        exchange.start()

    def _read_body(self, data: bytes, position: int) -> int:
        body, exchange = self._body, self.exchange
        assert body is not None
        start = position
        pieces: list[bytes] = []
        try:
            position = body.read(data, position, pieces)
        except BodyError:
            self._body_broken(exchange)
            return len(data)
        if body.done:
            self._body = None
        if exchange is None:
            self._discard(position - start)
            return position
        if body.done:
            self.state = State.HOLD
        elif pieces:
            self._body_moved_at = time.monotonic()
        trailers = clean_trailers(body.trailers, self.server.request_kinds) if body.trailers else ()
        if exchange.body is not None:
            exchange.body.take(pieces, trailers, is_last=body.done)
        return position

    def _has_refused(self) -> bool:
        return self.exchange is None

    def _has_body_left(self) -> bool:
        return self._body is not None

    def _body_broken(self, exchange: Exchange | None) -> None:
        self._body = None
        if exchange is None:
            self.linger()
        elif not exchange.has_started:
            self.exchange = None
            self._refuse(outcomes.BAD_REQUEST)
        else:
            self.state = State.HOLD
            exchange.fail(Failure.BAD_REQUEST)

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._body is None:
            self._enter_head(time.monotonic())
        elif self._discarded_bytes > self.limits.discard_bytes:
            self.linger()

    def _hold(self, data: bytes, position: int) -> None:
        """Keep bytes that came before their turn."""
        self._backlog += data[position:]
        if len(self._backlog) > self.limits.backlog_bytes:
            self.pause(Pause.BACKLOG)

    def _release_backlog(self) -> None:
        backlog, self._backlog = self._backlog, b""
        self.resume(Pause.BACKLOG)
        self._consume(backlog, 0)

    # --- called by the exchange ---

    def exchange_ended(self, now: float) -> None:
        """Take the end of an answer: read on, or close."""
        self.exchange = None
        self._tunnel = None
        if self._paused:
            self.resume(Pause.BODY)
        if self.state >= State.LINGER:
            return
        if not self.keep_alive:
            if self._body is None and not self._backlog:
                self.finish_writing()
            else:
                self.linger()
        elif self._body is not None:
            self.state = State.DISCARD
            self._discarded_bytes = 0
            self.since = now
            self.arm(self.next_deadline())
        else:
            self.state = State.HEAD
            self.since = now
            if now + self._keep_alive_s < self.filed_until:
                self.arm(now + self._keep_alive_s)
            if self._backlog:
                self._release_backlog()

    @property
    def is_tunnel(self) -> bool:
        """Whether bytes pass both ways as they come."""
        return self._tunnel is not None

    def enter_tunnel(self, tunnel: Tunnel) -> None:
        """Pass bytes to the tunnel from now on, first those that waited."""
        self.state = State.TUNNEL
        self._tunnel = tunnel
        if self._backlog:
            self._release_backlog()

    def break_off(self) -> None:
        """Close in a way that the client sees its answer incomplete."""
        self.keep_alive = False
        if self.exchange is not None and self.exchange.is_close_delimited:
            self.reset()  # only this shows that a body ended by the connection's end is cut short

    # --- end ---

    def drain(self) -> None:
        """Close when idle; otherwise the answer in progress will be the last."""
        self.keep_alive = False
        if self.exchange is None and self.state == State.HEAD and not self._has_begun:
            self.close()

    def linger(self) -> None:
        """Say that no more comes, behind what waits to be written."""
        self.server.outbox.flush()
        super().linger()

    def finish_writing(self) -> None:
        """Close behind what waits to be written."""
        self.server.outbox.flush()
        super().finish_writing()

    def end_now(self) -> None:
        """Close whatever is going on."""
        self.keep_alive = False
        if self.exchange is not None:
            self.exchange.fail(Failure.DRAINED)
        self.close()

    def _refuse(self, reason: outcomes.Reason) -> None:
        """Answer a head that never became a request, and close."""
        counters = self.server.counters
        self.server.answered(reason.code, reason.status, None, self._peer)
        answer = answers.render(answers.answer_of(reason), None, keep_alive=False)
        counters.bytes_out += len(answer)
        self.server.outbox.flush()
        self.transport.write(answer)
        self.linger()

    def _left(self) -> None:
        self.state = State.CLOSED
        self._backlog = b""
        if self.exchange is not None:
            self.exchange.client_lost()
