"""traceparent and tracestate by W3C Trace Context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

READ = {
    f"00-{TRACE}-{SPAN}-01": True,
    f"00-{TRACE}-{SPAN}-00": False,
    f"00-{TRACE}-{SPAN}-03": True,
    f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like": True,
    f"cc-{TRACE}-{SPAN}-01": True,
}
NOT_VALID = [
    "",
    "nonsense",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01-more",
    f"00-{TRACE}-{SPAN}-01.",
    f"cc-{TRACE}-{SPAN}-01.more",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE[:-1]}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-1",
    f"00-{TRACE}-{SPAN}",
    f" 00-{TRACE}-{SPAN}-01",
]


@pytest.mark.parametrize("value", READ)
def test_a_valid_parent_is_read(value: str) -> None:
    assert trace_context.parse(value.encode()) == (TRACE, SPAN, READ[value])
    assert trace_context.is_valid(value.encode())


@pytest.mark.parametrize("value", NOT_VALID)
def test_anything_else_is_none(value: str) -> None:
    assert trace_context.parse(value.encode()) is None
    assert trace_context.parse(None) is None
    assert not trace_context.is_valid(value.encode())


@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.booleans())
def test_a_started_trace_reads_back(trace: int, span: int, is_sampled: bool) -> None:
    context = trace_context.started(trace << 64 | span, is_sampled=is_sampled)
    name, _, value = context.line.partition(b": ")
    assert name == b"traceparent"
    assert trace_context.parse(value.rstrip(b"\r\n")) == context
    assert is_sampled or trace_context.started_line(trace << 64 | span) == context.line


@given(st.integers(0, (1 << 64) - 1))
def test_a_child_stays_in_its_trace_and_keeps_the_decision(draw: int) -> None:
    parent = trace_context.Context(TRACE, SPAN, True)
    child = trace_context.child(parent, draw)
    assert (child.trace_id, child.is_sampled) == (TRACE, True)
    assert trace_context.parse(child.line[13:-2]) == child


@given(st.integers(0, (1 << 64) - 1), st.floats(0, 1), st.floats(0, 1))
def test_who_is_sampled_at_a_rate_is_sampled_at_every_higher_one(low: int, first: float, second: float) -> None:
    context = trace_context.Context(f"{1:016x}{low:016x}", SPAN, False)
    smaller, larger = sorted((first, second))
    assert trace_context.is_drawn(context, larger) or not trace_context.is_drawn(context, smaller)
    assert trace_context.is_drawn(context, 1.0)
    assert not trace_context.is_drawn(context, 0.0)


def test_a_tracestate_is_passed_unless_it_is_too_long() -> None:
    assert trace_context.passed_lines(b"a", b"x=1") == b"traceparent: a\r\ntracestate: x=1\r\n"
    assert trace_context.passed_lines(b"a", None) == b"traceparent: a\r\n"
    assert trace_context.passed_lines(b"a", b"x" * 513) == b"traceparent: a\r\n"
