"""The timers of one client connection: which one runs in which state, and what happens when it fires.

A head, an idle connection, a request body, the rest of a body that nobody wants, an answer that is not taken: one of
them at a time beside those of the exchange. Nothing is read or written here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidegate.contracts import outcomes
from tidegate.wire import chunked
from tidegate.wire.client_socket import ClientSocket, Pause, State
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure
from tidegate.wire.request_head import RequestHeadReader

if TYPE_CHECKING:
    from tidegate.wire.exchange import Exchange
    from tidegate.wire.server import Server


class TimedClient(ClientSocket):
    """A client connection as its timers see it."""

    __slots__ = (
        "_body",
        "_body_moved_at",
        "_head",
        "_is_head_timed",
        "_keep_alive_s",
        "_sniffed",
        "exchange",
        "server",
    )

    def __init__(self, server: Server) -> None:
        super().__init__(server.deadlines, server.timers)
        # connection
        self.server = server
        self._head = RequestHeadReader(server.limits, server.request_kinds)
        self._keep_alive_s = server.timers.keep_alive_s or NEVER
        self._sniffed = b""  # the beginning of what may be the preface of HTTP/2
        # request
        self.exchange: Exchange | None = None
        self._is_head_timed = False
        self._body: chunked.Body | None = None
        self._body_moved_at = NEVER

    @property
    def _has_begun(self) -> bool:
        return self._head.has_begun or bool(self._sniffed)

    def stalled(self) -> None:
        """Count a client that does not read."""
        self.server.counters.clients_stalled += 1

    def _enter_head(self, now: float) -> None:
        self.state = State.HEAD
        self.since = now
        self.arm(now + self._keep_alive_s)

    def _wait_for_head(self) -> None:
        """Start the head's timer at its first byte."""
        if not self._is_head_timed:
            self._is_head_timed = True
            self.since = time.monotonic()
            self.arm(self.next_deadline())

    def _wait_for_body(self, now: float) -> None:
        """Start the timer of a body that is not complete."""
        limit_s = self.timers.body_stalled_s
        if limit_s:
            self._body_moved_at = now
            self.arm(now + limit_s)

    def resume(self, why: int) -> None:
        """Read again; the time in which nobody took the body is not the client's fault."""
        super().resume(why)
        if self._body is not None and why & Pause.BODY:
            self._body_moved_at = time.monotonic()

    # --- timers ---

    def next_deadline(self) -> float:
        """Return when the earliest timer of the present state fires."""
        deadline = super().next_deadline()
        if self.exchange is not None:
            return min(deadline, self.exchange.next_deadline(), self._body_deadline())
        return min(deadline, self._own_deadline())

    def _body_deadline(self) -> float:
        exchange, limit_s = self.exchange, self.timers.body_stalled_s
        if self._body is None or exchange is None or exchange.has_begun or not limit_s:
            return NEVER
        return self._body_moved_at + limit_s

    def _check_body(self, exchange: Exchange, now: float) -> None:
        body = exchange.body
        if body is not None and body.is_awaited and not self._paused:
            exchange.fail(Failure.TIMEOUT_BODY)
        else:  # nobody has asked for it yet
            self._body_moved_at = now
            self.arm(self._body_deadline())

    def _own_deadline(self) -> float:
        timers = self.timers
        if self.state == State.HEAD and self.is_write_paused:
            return NEVER  # it still has answers to read: `stalled_s` is its time
        if self.state == State.HEAD:
            limit_s = timers.head_timeout_s if self._has_begun else timers.keep_alive_s
        elif self.state == State.DISCARD:
            limit_s = timers.linger_s
        else:
            return NEVER
        return self.since + limit_s if limit_s else NEVER

    def expire(self, now: float) -> None:
        """Act on the timer that fired."""
        super().expire(now)
        exchange = self.exchange
        if exchange is not None and self._body_deadline() <= now:
            self._check_body(exchange, now)
        if exchange is not None:
            if exchange is self.exchange:
                exchange.expire(now)
        elif self._own_deadline() <= now:
            if self.state == State.DISCARD:
                self.linger()
            elif self._has_begun:
                self._refuse(outcomes.HEAD_TIMEOUT)
            else:
                self.close()

    def _refuse(self, reason: outcomes.Reason) -> None:
        """Answer a head that never became a request, and close."""
        raise NotImplementedError
