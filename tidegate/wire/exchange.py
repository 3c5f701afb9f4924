"""One request and its answer: direct, reach the upstream, relay, finish.

    directing ──▶ connecting ──▶ sent ──▶ answering ──▶ ended        (101: tunnel instead of answering)
        ▲  └─────────── Answer ──────────────────────────▲
        └── retry ──────┴──────────┘

It stands between one client connection and at most one upstream connection at a time. It owns the rule that
`director.finished` is called once, after the director's awaitable has ended. It parses nothing and opens no socket
itself.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

from tidegate.contracts import outcomes
from tidegate.wire import answers, repeats, request_timers
from tidegate.wire.answer_head import AnswerHeadReader
from tidegate.wire.answer_writer import AnswerWriter
from tidegate.wire.client_socket import Pause
from tidegate.wire.director import UNKNOWN_BYTES, Answer, Direction, Failure, Outcome, Relay, Request
from tidegate.wire.outbox import WORTH_IT
from tidegate.wire.request_body import RequestBody
from tidegate.wire.tunnel import Tunnel

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.h2_client_stream import ClientStream
    from tidegate.wire.h2_upstream import UpstreamStream
    from tidegate.wire.upstream_side import UpstreamConnection

logger = logging.getLogger(__name__)

ATTEMPTS_LIMIT: Final = 10


class Exchange(AnswerWriter):
    """The life of one request."""

    __slots__ = (
        "_begin",
        "_connect_until",
        "_director",
        "_leaving",
        "_task",
        "body",
        "has_ended",
        "has_started",
        "tunnel",
        "upstream",
    )

    def __init__(self, client: ClientConnection | ClientStream, request: Request, begin: bytes, length: int) -> None:
        # the answer (see AnswerWriter)
        self._client = client
        self._server = server = client.server
        self.request = request
        self.direction = None
        self.is_chunking = False
        self.is_close_delimited = False
        self._has_idle_timer = False
        self._status = 0
        self._first_byte_at = 0.0
        self._last_byte_at = 0.0
        self.answer_bytes = 0
        # request
        self._director = server.director
        self.body = RequestBody(client, length, expects=b"expect" in request.index) if length else None
        if length:
            request.body = self.body
        self._begin = begin  # request line and header lines for an HTTP/1.1 upstream
        # attempt
        self.upstream: UpstreamConnection | UpstreamStream | None = None
        self._task: asyncio.Future[Direction] | asyncio.Task[None] | None = None
        self._connect_until = 0.0
        self.tunnel: Tunnel | None = None
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
            self._director_failed()
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
            try:
                self._task = task = asyncio.ensure_future(direction)  # type: ignore[arg-type]
            except TypeError:
                logger.exception("the director's direction for %r is none", self.request.target)
                self._answer(answers.answer_of(outcomes.INTERNAL_ERROR))
                return
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
        self._has_idle_timer = relay.timeouts.idle_s > 0
        is_repeatable = self.body is None and self.request.method in repeats.IDEMPOTENT
        pool = self._server.pool
        upstream: UpstreamConnection | UpstreamStream | None
        if relay.protocol:
            upstream = pool.streams.take(relay.host, relay.port, relay.tls)
        else:
            upstream = pool.take(relay.host, relay.port, not is_repeatable, relay.tls)
        if upstream is not None:
            self._send(relay, upstream)
        else:
            connect_s = relay.timeouts.connect_s or pool.connect_timeout_s
            if relay.tls is not None:
                connect_s += relay.tls.handshake_s
            self._connect_until = time.monotonic() + connect_s
            self._task = asyncio.get_running_loop().create_task(self._connect(relay), name="wire-connect")
            self._client.arm(self._connect_until)
        if self._client.filed_until > self.request.arrived + relay.timeouts.soonest_s:
            self._client.arm(self.next_deadline())

    async def _connect(self, relay: Relay) -> None:
        try:
            pool = self._server.pool.streams if relay.protocol else self._server.pool
            upstream = await pool.connect(relay.host, relay.port, relay.tls)
        except (Exception, asyncio.CancelledError) as error:  # the resolver and the loop raise more than OSError
            self._connect_until = 0.0
            self._task = None
            if not self.has_ended:
                logger.debug("connect to %s:%s failed: %r", relay.host, relay.port, error)
                self._retry(relay, Failure.CERTIFICATE if isinstance(error, ssl.SSLError) else Failure.CONNECT)
            return
        self._connect_until = 0.0
        self._task = None
        if self.has_ended:
            pool.give(upstream, time.monotonic())  # type: ignore[arg-type] # it is this pool's own
        else:
            self._send(relay, upstream)

    def _send(self, relay: Relay, upstream: UpstreamConnection | UpstreamStream) -> None:
        self.upstream = upstream
        request = self.request
        if upstream.is_stream:
            self._send_by_stream(relay, cast("UpstreamStream", upstream))
            return
        upstream = cast("UpstreamConnection", upstream)
        head = self._begin + relay.add_head + b"\r\n"
        if self._client.is_write_paused:
            upstream.pause_answer()
        upstream.begin(self, request.method == b"HEAD")
        if self.body is not None:
            self._server.outbox.flush()
            self.body.send(upstream, head)
        elif self._server.in_flight >= WORTH_IT:
            self._server.outbox.write(upstream.transport, head)
        else:
            upstream.transport.write(head)

    def _send_by_stream(self, relay: Relay, upstream: UpstreamStream) -> None:
        if self._client.is_write_paused:
            upstream.pause_answer()
        block = self._begin.partition(b"\r\n")[2] + relay.add_head
        is_open = upstream.send_request(self, self.request, block, has_body=self.body is not None)
        if is_open and self.body is not None:
            self.body.send(upstream, b"")

    def _retry(self, relay: Relay, failure: Failure) -> None:
        """Let the director choose again; nothing of this request was taken by an upstream."""
        if self.body is not None:
            self.body.detach()
        if self.request.attempts >= ATTEMPTS_LIMIT:
            self.fail(failure)
            return
        self._server.counters.retries += 1
        try:
            direction = self._director.retry(self.request, relay, failure)
        except Exception:
            self._director_failed()
            return
        self._follow(direction)

    # --- the answer, from the upstream connection ---

    def answered_whole(self, answer: AnswerHeadReader, body: bytes) -> None:
        """Take an answer that came in one piece under a head that is known: what most requests get."""
        relay, client, upstream = self.direction, self._client, self.upstream
        assert type(relay) is Relay and upstream is not None
        self._status = answer.status
        self._first_byte_at = now = time.monotonic()
        self.answer_bytes = len(body)
        lines = relay.answer_head if relay.on_answer is None else relay.on_answer()
        if client.keep_alive and self.request.http_version == "1.1":
            data = answer.head_again(now, lines) + body
        else:
            framing = answers.connection_line(self.request, client.keep_alive)
            data = answer.client_head(framing, lines) + body
        self._server.counters.bytes_out += len(data)
        if self._server.in_flight >= WORTH_IT:
            self._server.outbox.write(client.transport, data)
        else:
            self._server.outbox.flush()
            client.transport.write(data)
        self.upstream = None
        upstream.release(self.body is None or self.body.is_done, now)
        self._finish(None, now)

    def answer_ended(self) -> None:
        """Take the end of the answer: give the upstream back, finish, let the client go on."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.release(self.body is None or self.body.is_done, time.monotonic())
        self._finish(None)

    def upstream_lost(self, upstream: UpstreamConnection | UpstreamStream) -> None:
        """Take the upstream's loss or its garbage: try again where that is safe, else fail."""
        relay = self.direction
        assert type(relay) is Relay
        self.upstream = None
        upstream.abort()
        if self._status != 0:
            self.fail(Failure.BROKEN_ANSWER)
        elif repeats.may_repeat(self.request, self.body, upstream):
            self._retry(relay, Failure.STALE)
        else:
            self.fail(Failure.UPSTREAM)

    # --- tunnel ---

    def switched(self, upstream: UpstreamConnection, data: bytes) -> None:
        """Take a 101: pass it on and turn both connections into a tunnel."""
        if not self.request.is_upgrade:
            self.upstream_lost(upstream)
            return
        relay = self.direction
        assert type(relay) is Relay
        self.write_switch(upstream.answer)
        idle_s = relay.timeouts.idle_s or self._server.timers.tunnel_idle_s
        self.tunnel = Tunnel(self, cast("ClientConnection", self._client), upstream, idle_s)
        self.tunnel.open(data)
        self._server.tunnel_opened()
        self._client.arm(self.next_deadline())

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

    def next_deadline(self) -> float:
        """Return when the earliest of this exchange's timers fires."""
        return self._earliest_timer()[0]

    def _earliest_timer(self) -> tuple[float, Failure]:
        relay = self.direction
        is_directing = self._task is not None and not self._connect_until
        if type(relay) is not Relay or is_directing or self.has_ended:
            return request_timers.NO_TIMER
        return request_timers.earliest(
            relay.timeouts,
            self.request.arrived,
            has_begun=self._status != 0,
            last_byte_at=self._last_byte_at,
            connect_until=self._connect_until,
            tunnel_until=self.tunnel.idle_deadline() if self.tunnel is not None else 0.0,
        )

    def expire(self, now: float) -> None:
        """Act on the timer that fired."""
        deadline, failure = self._earliest_timer()
        if deadline > now:
            self._client.arm(deadline)
        elif failure is Failure.CONNECT and self._task is not None:
            self._task.cancel()
        else:
            self.fail(failure)

    # --- end ---

    def client_lost(self) -> None:
        """Take the client's loss: whatever is under way stops now."""
        if self.tunnel is not None and not self.has_ended:
            self.tunnel.abort()
            self.tunnel_ended(Failure.CLIENT_GONE)
        else:
            self._stop(Failure.CLIENT_GONE)

    def fail(self, failure: Failure) -> None:
        """End with a failure: say it to the client when nothing was sent, else break the answer off visibly."""
        if self.has_ended or self._leaving is not None:
            return
        if self._status == 0:
            answer = answers.answer_of_failure(failure)
            if failure is Failure.BAD_REQUEST or failure is Failure.TIMEOUT_BODY:
                self._client.keep_alive = False
            self.write_own(answer)
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
        if task is not None and not self._connect_until:
            self._leaving = failure  # the director's awaitable ends first, then `finished` is called
            task.cancel()
            return
        self._finish(failure)
        if task is not None:
            task.cancel()

    def _director_failed(self) -> None:
        logger.exception("the director failed on %r", self.request.target)
        self._answer(answers.answer_of(outcomes.INTERNAL_ERROR))

    def _answer(self, answer: Answer) -> None:
        """Answer the request ourselves."""
        self.write_own(answer)
        self._finish(None)

    def _finish(self, failure: Failure | None, now: float = 0.0) -> None:
        assert not self.has_ended
        self.has_ended = True
        now = now or time.monotonic()
        arrived, began = self.request.arrived, self._first_byte_at
        first_byte_s = began - arrived if began else None
        size = self.answer_bytes if failure is None else UNKNOWN_BYTES
        outcome = Outcome(self._status, failure, now - arrived, first_byte_s, self.direction, size)
        server = self._server
        server.in_flight -= 1
        if server.changed is not None:
            server.changed.set()
        try:
            self._director.finished(self.request, outcome)
        except Exception:
            logger.exception("the director's finished failed on %r", self.request.target)
        self._client.exchange_ended(now)
