"""One request of an HTTP/2 client: to its exchange what `ClientConnection` is to an HTTP/1.1 one.

Its body's window opens as the upstream takes the bytes; its timers are asked by its session, which has the one filing
for all streams. Which heads become requests is the session's matter.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tidegate.wire.client_socket import Pause
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure, HeaderLine, Request
from tidegate.wire.h2_exchange import StreamExchange
from tidegate.wire.h2_frames import ErrorCode
from tidegate.wire.h2_stream import Stream
from tidegate.wire.limits import Limits

if TYPE_CHECKING:
    from tidegate.wire.h2_client_side import ClientSession


class ClientStream(Stream["ClientSession"]):
    """One request of the client, as its exchange sees the client."""

    __slots__ = ("_body_moved_at", "_is_held", "exchange", "is_write_paused", "keep_alive", "server")

    def __init__(self, session: ClientSession, stream_id: int) -> None:
        super().__init__(session, stream_id)
        self.server = session.server
        self.keep_alive = True  # of no meaning here; exchanges write it
        self.is_write_paused = False
        self._is_held = False
        self._body_moved_at = NEVER
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
        if pieces and self._body_moved_at != NEVER:
            self._body_moved_at = time.monotonic()
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
            if self._body_moved_at != NEVER:
                self._body_moved_at = time.monotonic()
            self.consumed()

    # --- the answer ---

    @property
    def has_begun(self) -> bool:
        """Whether the client was sent something of its answer."""
        return self.exchange is None or self.exchange.has_begun

    def out_full(self) -> None:
        """Make the upstream wait."""
        self.is_write_paused = True
        if self.exchange is not None:
            self.exchange.client_paused()
        self.arm(self._unsent_deadline())

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
        """Return when the earliest timer fires: the exchange's, that of its body, or that of an answer not taken."""
        deadline = self._unsent_deadline()
        if self.exchange is not None:
            deadline = min(deadline, self.exchange.next_deadline(), self._body_deadline())
        return deadline

    def wait_for_body(self, now: float) -> None:
        """Start the timer of a body. gRPC's have none: a stream may be open for hours before either side says more."""
        exchange, limit_s = self.exchange, self.server.timers.body_stalled_s
        if exchange is not None and limit_s and not _is_grpc(exchange.request):
            self._body_moved_at = now
            self.arm(now + limit_s)

    def _body_deadline(self) -> float:
        exchange = self.exchange
        if self.is_in_done or exchange is None or exchange.has_begun:
            return NEVER
        return self._body_moved_at + self.server.timers.body_stalled_s

    def _unsent_deadline(self) -> float:
        limit_s = self.server.timers.stalled_s
        # While the connection itself stands still no stream can move: then it is asked as a whole.
        return self.moved_at + limit_s if limit_s and self.is_stuck and not self.session.is_write_paused else NEVER

    def expire(self, now: float) -> None:
        """Act on the timer that fired."""
        exchange = self.exchange
        if self._unsent_deadline() <= now:
            self.server.counters.flooded("stalled")
            self.session.reset(self, ErrorCode.ENHANCE_YOUR_CALM)
            if exchange is not None:
                exchange.client_lost()
        elif exchange is not None and self._body_deadline() <= now:
            self._check_body(exchange, now)
        elif exchange is not None:
            exchange.expire(now)

    def _check_body(self, exchange: StreamExchange, now: float) -> None:
        body = exchange.body
        if body is not None and body.is_awaited and not self._is_held:
            exchange.fail(Failure.TIMEOUT_BODY)
        else:  # nobody has asked for it yet
            self._body_moved_at = now


def _is_grpc(request: Request) -> bool:
    return (request.header(b"content-type") or b"").startswith(b"application/grpc")
