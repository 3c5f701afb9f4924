"""Sends what models were asked and what they answered to a sink, as CloudEvents, beside the requests.

An event is queued in the turn of its request and never waited for: what finds no room is dropped, what the sink does
not take is not sent again, and both are counted. Bounds: events, and the bytes of their bodies. Each request has an id,
its client's or one that is made here, in both events and on the answer; by it `POST /feedback` tells the truth later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from runtimes.failures import InferenceError, Kind
from runtimes.http import messages
from runtimes.http.exchange import body_of
from runtimes.http.messages import Reply, Request
from runtimes.protocol import payload_events, truth
from runtimes.protocol.payload_events import PayloadEvent
from runtimes.truths import Truths
from tidegate.process import tasks
from tidegate.process.settings import SettingsError

log = logging.getLogger(__name__)

Answer = Reply | Awaitable[Reply]
Handler = Callable[[Request], Answer]
MODES = ("all", "request", "response")
SENDERS = 4
BYTES_LIMIT = 64 << 20
SEND_TIMEOUT_S = 10.0
LAST_SEND_TIMEOUT_S = 3.0
COMPLAIN_EVERY_S = 60.0
FEEDBACK = "/feedback"
TRUTH_LIMIT_BYTES = 1 << 20
_REQUEST_ID, _GROUP_ID = b"x-request-id", b"x-group-request-id"
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def of(config: Any) -> PayloadLog | None:
    """Return the log that a server's settings ask for (`host`, `port` and its `payload_log_*`); None without a URL.

    Raises SettingsError for values that cannot be used.
    """
    if not config.payload_log_url:
        return None
    about = {"ce-source": f"http://{config.host}:{config.port}/"}
    if revision := os.environ.get("K_REVISION"):
        about["ce-revision"] = revision
    try:
        about |= payload_events.attributes(config.payload_log_attributes)
        return PayloadLog(config.payload_log_url, config.payload_log_mode, config.payload_log_queue, about)
    except ValueError as error:
        raise SettingsError(str(error)) from error


class PayloadLog:
    """The queue of one server and what empties it. `about`: headers that every event carries (`ce-source`...)."""

    def __init__(self, url: str, mode: str, limit: int, about: dict[str, str]) -> None:
        """Raises ValueError for a URL that is not http(s), or an unknown mode."""
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"payload_log_url: {url!r} is no URL of a sink: write http://host/path")
        if mode not in MODES:
            raise ValueError(f"payload_log_mode: {mode!r} is none of {', '.join(MODES)}")
        self._url = url
        self._mode = mode
        self._limit = limit
        self._about = about
        self._queue: deque[PayloadEvent] = deque()
        self._bytes = 0
        self._unsent = 0
        self._is_filled = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._senders: list[asyncio.Task[None]] = []
        self._session: Any = None
        self._complained_at = float("-inf")
        self._truths = Truths()
        self.sent = self.dropped = self.failed = 0

    def start(self) -> None:
        """Begin to send."""
        import aiohttp  # a server without a sink does not pay for this import

        timeout = aiohttp.ClientTimeout(total=SEND_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        self._senders = [tasks.spawn(self._send_all(), f"payload log {number}") for number in range(SENDERS)]

    async def close(self) -> None:
        """Send what is left, for a short while; what stays counts as dropped."""
        try:
            async with asyncio.timeout(LAST_SEND_TIMEOUT_S):
                await self._is_idle.wait()
        except TimeoutError:
            self.dropped += len(self._queue)
            self._queue.clear()
        await tasks.cancel(*self._senders)
        if self._session is not None:
            await self._session.close()

    def around(self, handler: Handler) -> Handler:
        """Return `handler` with every inference that passes it logged."""

        def handle(request: Request) -> Answer:
            if request.path == FEEDBACK and request.method == b"POST":
                return self._feedback(request)
            if not payload_events.is_inference(request.method, request.path):
                return handler(request)
            first = self._asked(request)
            try:
                answer = handler(request)
            except InferenceError as error:
                self._answered(first, messages.error_reply(error))
                raise
            if isinstance(answer, Reply):
                self._answered(first, answer)
                return _identified(answer, request)
            return self._later(first, answer, request)

        return handle

    def _feedback(self, request: Request) -> Reply:
        """Take what turned out to be true of an earlier request, and pass it on; raises a 400, QUEUE_FULL."""
        told, now = truth.decode(body_of(request, TRUTH_LIMIT_BYTES)), time.time()
        made = payload_events.of_truth(self._about, str(uuid.uuid4()), now, request.path, told)
        if not self._offer(made):
            raise InferenceError(Kind.QUEUE_FULL, "the sink of payloads is behind; send this truth again later")
        return messages.json_reply({"joined": self._truths.take(told.request_id, now)}, 202)

    async def _later(self, first: PayloadEvent, answer: Awaitable[Reply], request: Request) -> Reply:
        try:
            reply = await answer
        except InferenceError as error:
            self._answered(first, messages.error_reply(error))
            raise
        self._answered(first, reply)
        return _identified(reply, request)

    def _asked(self, request: Request) -> PayloadEvent:
        if not _ID.fullmatch(request.headers.get(_REQUEST_ID, b"")):
            request.headers[_REQUEST_ID] = str(uuid.uuid4()).encode()
        given = request.headers.get(b"ce-id", b"")
        id_ = given.decode() if _ID.fullmatch(given) else str(uuid.uuid4())
        made = payload_events.of_request(self._about, id_, time.time(), request.path, request.headers, request.body)
        if self._mode != "response":
            self._offer(made)
        return made

    def _answered(self, first: PayloadEvent, reply: Reply) -> None:
        self._truths.answered(first.headers["ce-requestid"], time.time())
        if self._mode == "request" or reply.stream is not None:
            return  # a stream is not collected: it would be held in memory whole
        said = (time.time(), reply.status, reply.content_type, reply.headers, reply.body)
        self._offer(payload_events.of_response(self._about, first, *said))

    def _offer(self, event: PayloadEvent) -> bool:
        if len(self._queue) >= self._limit or self._bytes + len(event.body) > BYTES_LIMIT:
            self.dropped += 1
            return False
        self._bytes += len(event.body)
        self._unsent += 1
        self._is_idle.clear()
        self._queue.append(event)
        self._is_filled.set()
        return True

    async def _send_all(self) -> None:
        while True:
            await self._is_filled.wait()
            if not self._queue:
                self._is_filled.clear()
                continue
            event = self._queue.popleft()
            try:
                await self._send(event)
            finally:
                self._bytes -= len(event.body)
                self._unsent -= 1
                if not self._unsent:
                    self._is_idle.set()

    async def _send(self, event: PayloadEvent) -> None:
        try:
            async with self._session.post(self._url, data=event.body, headers=event.headers) as answer:
                problem = "" if answer.status < 300 else f"status {answer.status}"
        except asyncio.CancelledError:
            self.failed += 1
            raise
        except Exception as error:  # the client's own errors, the network's, a timeout: the event is lost either way
            problem = str(error) or type(error).__name__
        if not problem:
            self.sent += 1
            return
        self.failed += 1
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            # The host alone: a URL may hold a password.
            log.warning("payloads could not be sent to %s: %s", urlsplit(self._url).hostname, problem)

    def render(self) -> bytes:
        """Return its metrics in Prometheus' text form."""
        lines = ["# HELP model_payload_log_events_total Logged requests and answers, by what became of them"]
        lines.append("# TYPE model_payload_log_events_total counter")
        for result in ("sent", "dropped", "failed"):
            lines.append(f'model_payload_log_events_total{{result="{result}"}} {getattr(self, result)}')
        lines += [
            "# HELP model_payload_log_queued Events that wait to be sent",
            "# TYPE model_payload_log_queued gauge",
        ]
        lines += [f"model_payload_log_queued {len(self._queue)}", *self._truths.render(), ""]
        return "\n".join(lines).encode()


def _identified(reply: Reply, request: Request) -> Reply:
    """Return the reply with the ids of its request."""
    lines = b"X-Request-Id: %b\r\n" % request.headers[_REQUEST_ID]
    group = request.headers.get(_GROUP_ID, b"")
    if _ID.fullmatch(group):
        lines += b"X-Group-Request-Id: %b\r\n" % group
    reply.headers += lines
    return reply
