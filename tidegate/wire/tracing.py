"""The spans of one hop: continues or starts the trace of a request, and tells of it when it has ended.

A parent's decision to sample is kept; a trace that begins here is sampled at a rate. Names and attributes are those of
OpenTelemetry's conventions for HTTP servers. Ended spans are handed on; nothing here waits or sends. A hop without
tracing has no object of this kind, and its requests pay for one comparison.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from tidegate.contracts import spans, trace_context
from tidegate.contracts.spans import Attributes, Span
from tidegate.contracts.trace_context import Context
from tidegate.wire.director import Answer, Outcome, Request
from tidegate.wire.durations import METHODS, OTHER
from tidegate.wire.results import reason_of

HEADERS = frozenset({b"traceparent", b"tracestate"})
"""What a director with tracing strips, for each hop writes its own."""
TEXT_LIMIT = 256
"""Characters of an attribute that a client chose."""


class Trace(NamedTuple):
    """Where one request stands: this hop's span, and the one it came from. `lines`: for the next hop."""

    context: Context
    parent_id: str
    lines: bytes


class Tracing:
    """Makes the spans of one process and hands them to `add`."""

    def __init__(
        self,
        add: Callable[[Span], object],
        rate: float,
        *,
        draw: Callable[[int], int] = random.getrandbits,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._add = add
        self._rate = rate
        self._draw = draw
        self._clock = clock
        self._wall_clock = wall_clock

    def begin(self, request: Request) -> Trace:
        """Continue the request's trace, or start one."""
        parent = trace_context.parse(request.index.get(b"traceparent"))
        if parent is not None and not parent.is_sampled:
            # Nobody will hear of a span of ours, so the next hop is told what we were told.
            said = request.index[b"traceparent"]
            return Trace(parent, "", trace_context.passed_lines(said, request.index.get(b"tracestate")))
        if parent is not None:
            context = trace_context.child(parent, self._draw(trace_context.SPAN_BITS))
            state = request.index.get(b"tracestate")
            return Trace(context, parent.span_id, context.line + trace_context.state_line(state))
        context = trace_context.started(self._draw(trace_context.DRAW_BITS))
        if trace_context.is_drawn(context, self._rate):
            context = context._replace(is_sampled=True)
        return Trace(context, "", context.line)

    def ended(self, trace: Trace, request: Request, outcome: Outcome, attributes: Attributes, scheme: str = "") -> None:
        """Tell of a request that has ended, if its trace is sampled."""
        if not trace.context.is_sampled:
            return
        start_ns = self._unix_ns(request.arrived)
        method = request.method.decode("latin-1") if request.method in METHODS else OTHER
        said = _attributes(request, outcome, method, scheme)
        self._add(
            Span(
                method if method != OTHER else "HTTP",
                trace.context,
                trace.parent_id,
                start_ns,
                start_ns + int(outcome.duration_s * 1e9),
                spans.SERVER,
                said | dict(attributes),
                is_error="error.type" in said,
            )
        )

    def waited(self, trace: Trace, name: str, since: float, until: float) -> None:
        """Tell of a part of a request that was spent waiting, by monotonic times."""
        if trace.context.is_sampled:
            context = trace_context.child(trace.context, self._draw(trace_context.SPAN_BITS))
            begin, end = self._unix_ns(since), self._unix_ns(until)
            self._add(Span(name, context, trace.context.span_id, begin, end, spans.INTERNAL))

    def _unix_ns(self, moment: float) -> int:
        return int((self._wall_clock() - (self._clock() - moment)) * 1e9)


def _attributes(request: Request, outcome: Outcome, method: str, scheme: str) -> dict[str, str | int | float | bool]:
    said: dict[str, str | int | float | bool] = {
        "http.request.method": method,
        "url.path": _text(request.target.partition(b"?")[0]),
        "server.address": request.host[:TEXT_LIMIT],
        "client.address": request.peer,
        "network.protocol.version": request.http_version,
    }
    if method == OTHER:
        said["http.request.method_original"] = _text(request.method)
    if scheme:
        said["url.scheme"] = scheme
    if outcome.status:
        said["http.response.status_code"] = outcome.status
    agent = request.index.get(b"user-agent")
    if agent:
        said["user_agent.original"] = _text(agent)
    if request.attempts > 1:
        said["http.request.resend_count"] = request.attempts - 1
    reason = reason_of(outcome)
    if isinstance(outcome.direction, Answer) and reason:
        said["tidegate.reason"] = reason
    if outcome.failure is not None or outcome.status >= 500:
        said["error.type"] = reason or str(outcome.status)
    return said


def _text(value: bytes) -> str:
    return value[:TEXT_LIMIT].decode("latin-1")
