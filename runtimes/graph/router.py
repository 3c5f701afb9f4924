"""The HTTP side of a graph's router: every POST goes through the graph, whatever its path; GET answers about itself."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable

from runtimes.failures import InferenceError, Kind
from runtimes.graph.counts import Counts
from runtimes.graph.walk import Walk
from runtimes.http import messages
from runtimes.http.exchange import body_of
from runtimes.http.messages import Reply, Request

REQUEST_ID = b"x-request-id"
HEALTH = ("/", "/v2/health/live", "/v2/health/ready")


class Router:
    """`in_flight`: requests that may be in the graph at a time."""

    def __init__(self, walk: Walk, limit_bytes: int, in_flight: int, counts: Counts) -> None:
        self._walk = walk
        self._limit_bytes = limit_bytes
        self._in_flight = in_flight
        self._counts = counts
        self._inside = 0

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a request, or say later; raises InferenceError."""
        if request.method == b"POST":
            return self._through(request)
        if request.method in (b"GET", b"HEAD") and request.path == "/metrics":
            return Reply(200, self._counts.render(), b"text/plain; version=0.0.4; charset=utf-8")
        if request.method in (b"GET", b"HEAD") and request.path in HEALTH:
            return messages.json_reply({"status": "alive"})
        raise InferenceError(Kind.METHOD_NOT_ALLOWED, "a graph answers POST")

    async def _through(self, request: Request) -> Reply:
        # Here and not before: many may come before the first of them begins, and who never begins gives none back.
        if self._inside >= self._in_flight:
            raise InferenceError(Kind.QUEUE_FULL, f"{self._in_flight} requests are in this graph already")
        body = body_of(request, self._limit_bytes)
        headers = dict(request.headers)
        headers.setdefault(b"content-type", b"application/json")
        headers.setdefault(REQUEST_ID, str(uuid.uuid4()).encode())
        self._inside += 1
        self._counts.inside.set(self._inside)
        try:
            routing: dict[str, int] = {}
            answer = await self._walk.answer(body, headers, routing)
        finally:
            self._inside -= 1
            self._counts.inside.set(self._inside)
        lines = b"X-Request-Id: %b\r\n" % headers[REQUEST_ID]
        if routing:
            said = ",".join(f"{node}={step}" for node, step in sorted(routing.items()))
            lines += b"X-Graph-Routing: %b\r\n" % said.encode("ascii", "replace")
        return Reply(answer.status, answer.body, answer.content_type, lines)
