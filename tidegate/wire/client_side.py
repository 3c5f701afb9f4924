"""The client's side of the engine: one connection, its requests one after the other.

It reads heads and bodies and hands each request to an `Exchange`; bytes behind a request wait unparsed until its
answer has ended, so answers come in the order of requests. End of input from the client means that it left (as Go's
server and nginx take it), except in a tunnel. It decides nothing about where a request goes.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from tidegate.contracts import outcomes
from tidegate.wire import answers, chunked
from tidegate.wire.chunked import BodyError
from tidegate.wire.deadlines import NEVER, UNFILED
from tidegate.wire.exchange import Exchange
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.header_rules import clean_trailers
from tidegate.wire.request_head import RequestHeadReader
from tidegate.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from tidegate.wire.server import Server


class State(enum.IntEnum):
    """What the next byte from the client is."""

    HEAD = 0
    BODY = 1
    HOLD = 2  # the request is complete, its answer is not: bytes wait
    DISCARD = 3  # the answer is complete, the request's body is not: bytes are dropped
    TUNNEL = 4
    LINGER = 5  # we have said the last word and wait for the client to read it
    CLOSED = 6


RESET_AT_CLOSE = struct.pack("ii", 1, 0)

_BODY_PAUSE = 1
_BACKLOG_PAUSE = 2


class ClientConnection(asyncio.Protocol):
    """One connection from a client."""

    __slots__ = (
        "_backlog",
        "_backlog_at",
        "_body",
        "_discarded",
        "_head",
        "_paused",
        "_peer",
        "_since",
        "_tunnel",
        "deadline_slot",
        "exchange",
        "is_write_paused",
        "keep_alive",
        "limits",
        "server",
        "state",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        # connection
        self.server = server
        self.limits = server.limits
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline_slot = UNFILED
        self.state = State.HEAD
        self._head = RequestHeadReader(server.limits, server.request_kinds)
        self._peer = ""
        self._paused = 0
        self.is_write_paused = False
        self._since = 0.0  # when this state began, for the timers
        self._backlog = b""
        self._backlog_at = 0
        # request
        self.exchange: Exchange | None = None
        self.keep_alive = True
        self._body: chunked.Body | None = None
        self._discarded = 0
        self._tunnel: Tunnel | None = None

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self.limits.body_high_bytes, low=self.limits.body_low_bytes)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self.server.connection_opened(self)
        self._enter_head(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Read request bytes."""
        self.server.counters.bytes_in += len(data)
        if self._backlog:
            self._hold(data, 0)
        else:
            self._consume(data, 0)

    def eof_received(self) -> bool:
        """Take the client's end of input."""
        if self.state == State.TUNNEL and self.exchange is not None:
            return self.exchange.tunnel_half_closed(by_client=True)
        self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's loss."""
        self._left()
        self.server.connection_lost(self)

    def pause_writing(self) -> None:
        """Make the upstream wait: this client reads slowly."""
        self.is_write_paused = True
        if self.exchange is not None:
            self.exchange.client_paused()

    def resume_writing(self) -> None:
        """Let the upstream go on."""
        self.is_write_paused = False
        if self.exchange is not None:
            self.exchange.client_resumed()

    # --- reading ---

    def _consume(self, data: bytes, position: int) -> None:
        size = len(data)
        while position < size:
            state = self.state
            if state == State.HEAD:
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

    def _read_head(self, data: bytes, position: int) -> int:
        head = self._head
        was_begun = head.has_begun
        try:
            position = head.feed(data, position)
            if not head.done:
                if not was_begun:
                    self._since = time.monotonic()
                    self.arm(self.next_deadline())
                return position
            request = head.take(self._peer, time.monotonic())
        except HeadRefused as refused:
            self._refuse(refused.reason)
            return len(data)
        self.server.counters.requests += 1
        self.keep_alive = head.keep_alive and not self.server.is_draining
        exchange = Exchange(self, request, head.lines, head.length)
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
        head.reset()
        exchange.start()
        return position

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
        trailers = clean_trailers(body.trailers, self.server.request_kinds) if body.trailers else ()
        exchange.request_pieces(pieces, trailers, body.done)
        return position

    def _has_refused(self) -> bool:
        return self.exchange is None

    def _body_broken(self, exchange: Exchange | None) -> None:
        self._body = None
        if exchange is None:
            self._linger()
        elif not exchange.has_started:
            self.exchange = None
            self._refuse(outcomes.BAD_REQUEST)
        else:
            self.state = State.HOLD
            exchange.request_broken()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._body is None:
            self._enter_head(time.monotonic())
        elif self._discarded > self.limits.discard_bytes:
            self._linger()

    def _hold(self, data: bytes, position: int) -> None:
        """Keep bytes that came before their turn."""
        self._backlog = self._backlog[self._backlog_at :] + data[position:]
        self._backlog_at = 0
        if len(self._backlog) > self.limits.backlog_bytes:
            self._pause(_BACKLOG_PAUSE)

    def _release_backlog(self) -> None:
        backlog, position = self._backlog, self._backlog_at
        self._backlog, self._backlog_at = b"", 0
        self._resume(_BACKLOG_PAUSE)
        self._consume(backlog, position)

    # --- called by the exchange ---

    def exchange_ended(self) -> None:
        """Take the end of an answer: read on, or close."""
        self.exchange = None
        self._tunnel = None
        self._resume(_BODY_PAUSE)
        if self.state >= State.LINGER:
            return
        if not self.keep_alive:
            if self._body is None and not self._backlog:
                self._finish_writing()
            else:
                self._linger()
        elif self._body is not None:
            self.state = State.DISCARD
            self._discarded = 0
            self._since = time.monotonic()
            self.arm(self.next_deadline())
        else:
            self._enter_head(time.monotonic())
            if self._backlog:
                self._release_backlog()

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
            self._reset()  # only this shows that a body ended by the connection's end is cut short

    def pause_body(self) -> None:
        """Stop reading the request's body."""
        self._pause(_BODY_PAUSE)

    def resume_body(self) -> None:
        """Read the request's body again."""
        self._resume(_BODY_PAUSE)

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self.transport.is_closing()

    def _pause(self, why: int) -> None:
        if not self._paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused |= why

    def _resume(self, why: int) -> None:
        if self._paused & why:
            self._paused &= ~why
            if not self._paused and not self.transport.is_closing():
                self.transport.resume_reading()

    # --- timers ---

    def arm(self, deadline: float) -> None:
        """See to it that `expire` is called by `deadline`."""
        self.server.deadlines.watch(self, deadline)

    def next_deadline(self) -> float:
        """Return when the present state has lasted long enough."""
        timers = self.server.timers
        if self.exchange is not None:
            return self.exchange.next_deadline()
        if self.state == State.HEAD:
            limit_s = timers.head_timeout_s if self._head.has_begun else timers.keep_alive_s
        elif self.state == State.DISCARD or self.state == State.LINGER:
            limit_s = timers.linger_s
            if self._discarded and self.state == State.LINGER:
                limit_s = timers.stalled_s
        else:
            return NEVER
        return self._since + limit_s if limit_s else NEVER

    def expire(self, now: float) -> None:
        """Act: the present state lasted too long."""
        if self.exchange is not None:
            self.exchange.expire(now)
        elif self.state == State.HEAD and self._head.has_begun:
            self._refuse(outcomes.HEAD_TIMEOUT)
        elif self.state == State.DISCARD:
            self._linger()
        elif self.state == State.LINGER:
            self._check_linger(now)
        else:
            self._close()

    # --- end ---

    def drain(self) -> None:
        """Close when idle; otherwise the answer in progress will be the last."""
        self.keep_alive = False
        if self.exchange is None and self.state == State.HEAD and not self._head.has_begun:
            self._close()

    def end_now(self) -> None:
        """Close whatever is going on."""
        if self.exchange is not None:
            self.exchange.drain()
        self._close()

    def _enter_head(self, now: float) -> None:
        self.state = State.HEAD
        self._since = now
        self.arm(now + self.server.timers.keep_alive_s if self.server.timers.keep_alive_s else NEVER)

    def _refuse(self, reason: outcomes.Reason) -> None:
        """Answer a head that never became a request, and close."""
        counters = self.server.counters
        counters.answers[reason.code] = counters.answers.get(reason.code, 0) + 1
        answer = answers.render(answers.answer_of(reason), None, keep_alive=False)
        counters.bytes_out += len(answer)
        self.transport.write(answer)
        self._linger()

    def _linger(self) -> None:
        """Say that no more comes, and wait shortly: closing with unread input would destroy the answer on its way."""
        if self.state >= State.LINGER:
            return
        self._backlog = b""
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
            self._resume(_BODY_PAUSE | _BACKLOG_PAUSE)
            self._enter_linger()
        else:
            self._finish_writing()

    def _finish_writing(self) -> None:
        """Close when what is written was sent; a client that never reads it is cut off by the timer."""
        if self.transport.get_write_buffer_size():
            self._enter_linger()
        else:
            self.state = State.CLOSED
        self.transport.close()

    def _enter_linger(self) -> None:
        self.state = State.LINGER
        self._since = time.monotonic()
        self._discarded = self.transport.get_write_buffer_size()
        self.arm(self.next_deadline())

    def _check_linger(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent >= self._discarded:
            self.state = State.CLOSED
            self.transport.abort()
        else:  # it reads, slowly
            self._since, self._discarded = now, unsent
            self.arm(self.next_deadline())

    def _reset(self) -> None:
        self.state = State.CLOSED
        if not self.transport.is_closing():
            socket_of = self.transport.get_extra_info("socket")
            socket_of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            self.transport.abort()

    def _close(self) -> None:
        if self.state < State.LINGER:
            self._finish_writing()

    def _left(self) -> None:
        if self.state == State.CLOSED:
            return
        self.state = State.CLOSED
        self._backlog = b""
        if self.exchange is not None:
            self.exchange.client_lost()
