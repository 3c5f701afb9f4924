"""What the spans of a hop say, and what they cost who is not sampled."""

from __future__ import annotations

import pytest

from tests.support.heads import make_request
from tidegate.contracts.spans import INTERNAL, SERVER, Span
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay
from tidegate.wire.tracing import TEXT_LIMIT, Tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RELAY = Relay("10.0.0.1", 8012)


def tracing(spans: list[Span], rate: float = 1.0) -> Tracing:
    return Tracing(spans.append, rate, draw=lambda bits: 7, clock=lambda: 100.0, wall_clock=lambda: 1000.0)


async def ended(direction: Direction, status: int, failure: Failure | None = None, **named: str) -> Span:
    spans: list[Span] = []
    tracer, request = tracing(spans), make_request(**named)
    request.arrived = 99.0
    trace = tracer.begin(request)
    tracer.ended(trace, request, Outcome(status, failure, 0.5, 0.1, direction), {})
    [span] = spans
    return span


async def test_times_are_wall_clock_and_ids_follow_the_parent() -> None:
    span = await ended(RELAY, 200, traceparent=PARENT)
    assert (span.name, span.kind, span.is_error) == ("GET", SERVER, False)
    assert (span.start_unix_ns, span.end_unix_ns) == (999 * 10**9, 999 * 10**9 + 5 * 10**8)
    assert (span.context, span.parent_id) == (
        ("0af7651916cd43dd8448eb211c80319c", f"{7:016x}", True),
        "b7ad6b7169203331",
    )


@pytest.mark.parametrize(
    ("direction", "status", "failure", "error", "reason"),
    [
        (RELAY, 200, None, None, None),
        (RELAY, 404, None, None, None),
        (RELAY, 500, None, "500", None),
        (Answer(503, "queue_full"), 503, None, "queue_full", "queue_full"),
        (Answer(404, "no_route"), 404, None, None, "no_route"),
        (RELAY, 0, Failure.CLIENT_GONE, "client_gone", None),
        (RELAY, 200, Failure.BROKEN_ANSWER, "broken_answer", None),
    ],
)
async def test_errors_have_a_type_from_a_closed_list(direction, status, failure, error, reason) -> None:
    span = await ended(direction, status, failure)
    assert (span.attributes.get("error.type"), span.attributes.get("tidegate.reason")) == (error, reason)
    assert span.is_error is (error is not None)
    assert span.attributes.get("http.response.status_code") == (status or None)


async def test_what_a_client_chose_is_bounded() -> None:
    span = await ended(RELAY, 200, method="BREW", user_agent="x" * 10_000)
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    assert span.attributes["http.request.method_original"] == "BREW"
    assert len(str(span.attributes["user_agent.original"])) == TEXT_LIMIT


@pytest.mark.parametrize("sampled", ["00", "01"])
async def test_a_wait_is_a_child_of_its_request_if_that_is_sampled(sampled: str) -> None:
    spans: list[Span] = []
    tracer = tracing(spans)
    trace = tracer.begin(make_request(traceparent=PARENT[:-2] + sampled))
    tracer.waited(trace, "queue", 99.0, 99.5)
    if sampled == "00":
        assert spans == []
        return
    [span] = spans
    assert (span.name, span.kind, span.parent_id) == ("queue", INTERNAL, trace.context.span_id)
    assert span.end_unix_ns - span.start_unix_ns == 5 * 10**8


async def test_a_new_trace_is_drawn_at_the_rate() -> None:
    assert tracing([], rate=1.0).begin(make_request()).context.is_sampled
    assert not tracing([], rate=0.0).begin(make_request(traceparent="nonsense", tracestate="a=1")).context.is_sampled
    assert b"tracestate" not in tracing([]).begin(make_request(traceparent="nonsense", tracestate="a=1")).lines
