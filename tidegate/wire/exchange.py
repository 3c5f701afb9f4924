"""One request and its answer: direct, reach the upstream, relay, finish.

    directing ──▶ connecting ──▶ sent ──▶ answering ──▶ ended        (101: tunnel instead of answering)
        ▲  └─────────── Answer ──────────────────────────▲
        └── retry ──────┴──────────┘

An exchange stands between one client connection and at most one upstream connection at a time. It owns the rule that
`director.finished` is called once, after the director's awaitable has ended. It parses nothing and opens no socket
itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from tidegate.contracts import outcomes
from tidegate.wire import answers, chunked
from tidegate.wire.answer_head import AnswerHeadReader
from tidegate.wire.client_socket import Pause
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request
from tidegate.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.upstream_side import UpstreamConnection

logger = logging.getLogger(__name__)

ATTEMPTS_LIMIT = 10
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})

_FINAL_REASONS: dict[Failure, outcomes.Reason] = {
    Failure.CONNECT: outcomes.UPSTREAM_CONNECT_FAILED,
    Failure.STALE: outcomes.UPSTREAM_FAILED,
    Failure.UPSTREAM: outcomes.UPSTREAM_FAILED,
    Failure.TIMEOUT_START: outcomes.RESPONSE_START_TIMEOUT,
    Failure.TIMEOUT_IDLE: outcomes.IDLE_TIMEOUT,
    Failure.TIMEOUT_TOTAL: outcomes.REQUEST_TIMEOUT,
    Failure.BAD_REQUEST: outcomes.BAD_REQUEST,
    Failure.DRAINED: outcomes.DRAINING,
}
"""What a failure is answered with when nothing of an answer was sent; CLIENT_GONE is answered with nothing."""


class Exchange:
    """The life of one request."""

    __slots__ = (
        "_buffer",
        "_buffered_bytes",
        "_client",
        "_connect_since",
        "_director",
        "_first_byte_at",
        "_last_byte_at",
        "_leaving",
        "_lines",
        "_sent_body",
        "_server",
        "_status",
        "_task",
        "direction",
        "has_ended",
        "has_started",
        "is_chunking",
        "is_close_delimited",
        "request",
        "request_done",
        "request_length",
        "tunnel",
        "upstream",
    )

    def __init__(self, client: ClientConnection, request: Request, lines: list[bytes], length: int) -> None:
        # request
        self._client = client
        self._server = client.server
        self._director = client.server.director
        self.request = request
        self.request_length = length
        self.request_done = length == 0
        self._lines = lines
        self._buffer: list[bytes] | None = None
        self._buffered_bytes = 0
        # attempt
        self.direction: Direction | None = None
        self.upstream: UpstreamConnection | None = None
        self._task: asyncio.Future[Direction] | asyncio.Task[None] | None = None
        self._connect_since = 0.0
        self._sent_body = False
        # answer
        self.is_chunking = False
        self.is_close_delimited = False
        self.tunnel: Tunnel | None = None
        self._status = 0
        self._first_byte_at = 0.0
        self._last_byte_at = 0.0
        # end
        self._leaving: Failure | None = None
        self.has_started = False
        self.has_ended = False

    # --- direct ---

    def start(self) -> None:
        """Ask the director and follow its direction."""
        self.has_started = True
        self._server.in_flight += 1
        try:
            direction = self._director.direct(self.request)
        except Exception:
            logger.exception("the director failed on %r", self.request.target)
            self._answer(answers.answer_of(outcomes.INTERNAL_ERROR))
            return
        self._follow(direction)

    def _follow(self, direction: Direction | Awaitable[Direction]) -> None:
        if type(direction) is Relay:
            self.direction = direction
            self._relay(direction)
        elif type(direction) is Answer:
            self.direction = direction
            self._answer(direction)
        else:
            self._task = task = asyncio.ensure_future(direction)  # type: ignore[arg-type]
            task.add_done_callback(self._directed)

    def _directed(self, task: asyncio.Future[Direction]) -> None:
        self._task = None
        direction: Direction | None = None
        if not task.cancelled():
            error = task.exception()
            if error is None:
                direction = task.result()
            else:
                logger.error("the director failed on %r", self.request.target, exc_info=error)
        if self._leaving is not None:
            self.direction = direction or self.direction
            self._finish(self._leaving)
        elif direction is None:
            self._answer(answers.answer_of(outcomes.INTERNAL_ERROR))
        else:
            self._follow(direction)

    # --- reach the upstream ---

    def _relay(self, relay: Relay) -> None:
        self.request.attempts += 1
        upstream = self._server.pool.take(relay.host, relay.port)
        if upstream is not None:
            self._send(relay, upstream)
        else:
            self._connect_since = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._connect(relay), name="wire-connect")
        self._client.arm(self.next_deadline())

    async def _connect(self, relay: Relay) -> None:
        try:
            upstream = await self._server.pool.connect(relay.host, relay.port)
        except (OSError, asyncio.CancelledError) as error:
            self._connect_since = 0.0
            self._task = None
            if not self.has_ended:
                logger.debug("connect to %s:%d failed: %r", relay.host, relay.port, error)
                self._retry(relay, Failure.CONNECT)
            return
        self._connect_since = 0.0
        self._task = None
        if self.has_ended:
            self._server.pool.give(upstream)
        else:
            self._send(relay, upstream)

    def _send(self, relay: Relay, upstream: UpstreamConnection) -> None:
        self.upstream = upstream
        request = self.request
        lines = b"".join(self._lines)
        head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (request.method, request.target, lines, relay.add_head)
        if self._client.is_write_paused:
            upstream.pause_answer()
        if self._buffer is None:
            upstream.begin(self, head, is_head_request=request.method == b"HEAD")
            return
        pieces, self._buffer, self._buffered_bytes, self._sent_body = self._buffer, None, 0, True
        if len(pieces) == 1 and len(pieces[0]) < 16384:
            head, pieces = head + pieces[0], []
        upstream.begin(self, head, is_head_request=request.method == b"HEAD")
        if pieces:
            upstream.transport.writelines(pieces)
        if not upstream.is_paused:
            self._client.resume(Pause.BODY)

    def _retry(self, relay: Relay, failure: Failure) -> None:
        """Let the director choose again; nothing of this request was taken by an upstream."""
        self.upstream = None
        if self.request.attempts >= ATTEMPTS_LIMIT:
            self._fail(failure)
            return
        self._server.counters.retries += 1
        try:
            direction = self._director.retry(self.request, relay, failure)
        except Exception:
            logger.exception("the director failed on %r", self.request.target)
            self._answer(answers.answer_of(outcomes.INTERNAL_ERROR))
            return
        self._follow(direction)

    # --- the request's body, from the client connection ---

    def request_pieces(self, pieces: list[bytes], trailers: tuple[tuple[bytes, bytes], ...], done: bool) -> None:
        """Pass on body pieces; until an upstream is there they are kept, and reading pauses at the high watermark."""
        self.request_done = done
        if self.request_length == chunked.CHUNKED:
            pieces = chunked.encode_chunks(pieces)
            if done:
                pieces.append(chunked.encode_last(trailers))
        if not pieces or self._leaving is not None:
            return
        if self.upstream is not None:
            self._sent_body = True
            self.upstream.transport.writelines(pieces)
            return
        if self._buffer is None:
            self._buffer = []
        self._buffer += pieces
        self._buffered_bytes += sum(map(len, pieces))
        if self._buffered_bytes > self._client.limits.body_high_bytes:
            self._client.pause(Pause.BODY)

    def request_broken(self) -> None:
        """Take the news that the request's body is malformed."""
        self._fail(Failure.BAD_REQUEST)

    # --- the answer, from the upstream connection ---

    def interim_answer(self, answer: AnswerHeadReader) -> None:
        """Pass a 1xx on, except to HTTP/1.0, which knows none."""
        if self.request.http_version != "1.0":
            self.write_answer(answer.client_head(b"", b""))

    def answer_began(self, answer: AnswerHeadReader) -> bytes:
        """Note the answer's begin; return its head for the client."""
        relay = self.direction
        assert type(relay) is Relay
        client = self._client
        framing = b""
        if answer.length < 0:
            if self.request.http_version == "1.1":
                self.is_chunking = True
                framing = b"Transfer-Encoding: chunked\r\n"
            else:
                self.is_close_delimited = True
                client.keep_alive = False
        if not client.keep_alive or self.request.http_version == "1.0":
            framing += answers.connection_line(self.request, client.keep_alive)
        self._status = answer.status
        self._first_byte_at = time.monotonic()
        return answer.client_head(framing, relay.answer_head)

    def write_answer(self, data: bytes) -> None:
        """Write answer bytes to the client."""
        self._server.counters.bytes_out += len(data)
        self._client.transport.write(data)
        if self._has_idle_timer():
            self._last_byte_at = time.monotonic()

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Write answer pieces to the client in one go."""
        if len(pieces) == 1:
            self.write_answer(pieces[0])
        elif pieces:
            self._server.counters.bytes_out += sum(map(len, pieces))
            self._client.transport.writelines(pieces)
            if self._has_idle_timer():
                self._last_byte_at = time.monotonic()

    def answer_ended(self) -> None:
        """Take the end of the answer: give the upstream back, finish, let the client go on."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.release(reusable=self.request_done)
        self._finish(None)

    def upstream_lost(self, upstream: UpstreamConnection) -> None:
        """Take the upstream's loss or its garbage: try again where that is safe, else fail."""
        relay = self.direction
        assert type(relay) is Relay
        self.upstream = None
        upstream.abort()
        if self._status != 0:
            self._fail(Failure.BROKEN_ANSWER)
        elif (
            upstream.is_reused
            and not upstream.has_answered
            and not self._sent_body
            and self.request.method in IDEMPOTENT
        ):
            self._retry(relay, Failure.STALE)
        else:
            self._fail(Failure.UPSTREAM)

    # --- tunnel ---

    def switched(self, upstream: UpstreamConnection, data: bytes) -> None:
        """Take a 101: pass it on and turn both connections into a tunnel."""
        if not self.request.is_upgrade:
            self.upstream_lost(upstream)
            return
        relay = self.direction
        assert type(relay) is Relay
        upgrade = upstream.answer.upgrade or b"unknown"
        framing = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade
        self._status = 101
        self._first_byte_at = time.monotonic()
        self.write_answer(upstream.answer.client_head(framing, relay.answer_head))
        idle_s = relay.timeouts.idle_s or self._server.timers.tunnel_idle_s
        self.tunnel = Tunnel(self, self._client, upstream, idle_s)
        self._server.counters.tunnels += 1
        self.tunnel.open(data)
        self._client.arm(self.next_deadline())

    def tunnel_half_closed(self, *, by_client: bool) -> bool:
        """Take one side's end of a tunnel; returns whether that side stays open for the other direction."""
        assert self.tunnel is not None
        return self.tunnel.half_closed(by_client=by_client)

    def tunnel_ended(self, failure: Failure | None) -> None:
        """Take the end of the tunnel."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort() if failure else upstream.close()
            upstream.exchange = None
        self._client.keep_alive = False
        self._finish(failure)

    # --- back-pressure ---

    def client_paused(self) -> None:
        """Stop reading the answer: the client is slow."""
        if self.upstream is not None:
            self.upstream.pause_answer()

    def client_resumed(self) -> None:
        """Read the answer again."""
        if self.upstream is not None:
            self.upstream.resume_answer()

    def upstream_paused(self) -> None:
        """Stop reading the request: the upstream is slow."""
        self._client.pause(Pause.BODY)

    def upstream_resumed(self) -> None:
        """Read the request again."""
        self._client.resume(Pause.BODY)

    # --- timers ---

    def _has_idle_timer(self) -> bool:
        relay = self.direction
        return type(relay) is Relay and relay.timeouts.idle_s > 0

    def next_deadline(self) -> float:
        """Return when the earliest of this exchange's timers fires."""
        return min(self._timers(), default=(NEVER, Failure.TIMEOUT_TOTAL))[0]

    def _timers(self) -> list[tuple[float, Failure]]:
        relay = self.direction
        if type(relay) is not Relay or self.has_ended or (self._task is not None and not self._connect_since):
            return []
        limits, arrived = relay.timeouts, self.request.arrived
        timers = []
        if limits.total_s > 0:
            timers.append((arrived + limits.total_s, Failure.TIMEOUT_TOTAL))
        if limits.response_start_s > 0 and not self._status:
            timers.append((arrived + limits.response_start_s, Failure.TIMEOUT_START))
        if self.tunnel is not None:
            timers.append((self.tunnel.idle_deadline(), Failure.TIMEOUT_IDLE))
        elif limits.idle_s > 0:
            timers.append(((self._last_byte_at or arrived) + limits.idle_s, Failure.TIMEOUT_IDLE))
        if self._connect_since:
            connect_s = limits.connect_s or self._server.pool.connect_timeout_s
            timers.append((self._connect_since + connect_s, Failure.CONNECT))
        return timers

    def expire(self, now: float) -> None:
        """Act on the timer that fired."""
        deadline, failure = min(self._timers(), default=(NEVER, Failure.TIMEOUT_TOTAL))
        if deadline > now:
            self._client.arm(deadline)
        elif failure is Failure.CONNECT and self._task is not None:
            self._task.cancel()
        else:
            self._fail(failure)

    # --- end ---

    def client_lost(self) -> None:
        """Take the client's loss: whatever is under way stops now."""
        if self.tunnel is not None and not self.has_ended:
            self.tunnel.abort()
            self.tunnel_ended(Failure.CLIENT_GONE)
        else:
            self._stop(Failure.CLIENT_GONE)

    def drain(self) -> None:
        """End now: the server's drain deadline has passed."""
        self._fail(Failure.DRAINED)

    def _fail(self, failure: Failure) -> None:
        """End with a failure: say it to the client when nothing was sent, else break the answer off visibly."""
        if self.has_ended or self._leaving is not None:
            return
        if self._status == 0:
            answer = answers.answer_of(_FINAL_REASONS[failure])
            if failure is Failure.BAD_REQUEST:
                self._client.keep_alive = False
            self._write_own(answer)
        else:
            self._client.break_off()
        self._stop(failure)

    def _stop(self, failure: Failure) -> None:
        if self.has_ended or self._leaving is not None:
            return
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        task = self._task
        if task is not None and not self._connect_since:
            self._leaving = failure  # the director's awaitable ends first, then `finished` is called
            task.cancel()
            return
        self._finish(failure)
        if task is not None:
            task.cancel()

    def _answer(self, answer: Answer) -> None:
        """Answer the request ourselves."""
        self._write_own(answer)
        self._finish(None)

    def _write_own(self, answer: Answer) -> None:
        counters = self._server.counters
        counters.answers[answer.reason] = counters.answers.get(answer.reason, 0) + 1
        self._status = answer.status
        self._first_byte_at = time.monotonic()
        if not self._client.transport.is_closing():
            self.write_answer(answers.render(answer, self.request, self._client.keep_alive))

    def _finish(self, failure: Failure | None) -> None:
        assert not self.has_ended
        self.has_ended = True
        self._buffer = None
        arrived, began = self.request.arrived, self._first_byte_at
        first_byte_s = began - arrived if began else None
        outcome = Outcome(self._status, failure, time.monotonic() - arrived, first_byte_s, self.direction)
        self._server.exchange_ended()
        try:
            self._director.finished(self.request, outcome)
        except Exception:
            logger.exception("the director's finished failed on %r", self.request.target)
        self._client.exchange_ended()
