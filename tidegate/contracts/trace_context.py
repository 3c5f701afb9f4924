"""W3C Trace Context, level 1: reads a `traceparent`, writes one, starts a trace, and draws whether it is sampled.

Pure: random bits are handed in. A value that is not valid counts as none, and the `tracestate` beside it is dropped
with it (section 4.3 of the recommendation).
"""

from __future__ import annotations

import re
from binascii import hexlify
from typing import NamedTuple

DRAW_BITS = 192
"""Random bits that a new trace takes: 128 of the trace id and 64 of the span id."""
SPAN_BITS = 64
TRACE_ID_BYTES = 16
STATE_LIMIT_BYTES = 512
"""At least so much of a tracestate is to be passed on (section 3.3.1.5); a longer one is dropped whole."""

_VALUE = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[^\r\n]*)?")
_SAMPLED = 1


class Context(NamedTuple):
    """Where a request stands in its trace: ids in hexadecimal digits."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def line(self) -> bytes:
        """The header line for the next hop."""
        return f"traceparent: 00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}\r\n".encode()


def parse(value: bytes | None) -> Context | None:
    """Return what a `traceparent` says, None when there is none or it is not valid.

    Later versions are read as far as version 00 goes (section 3.2.2.4).
    """
    match = _VALUE.fullmatch(value) if value is not None else None
    if match is None or (match[1] == b"00" and match[5]):
        return None
    return Context(match[2].decode(), match[3].decode(), bool(int(match[4], 16) & _SAMPLED))


def started(draw: int, *, is_sampled: bool = False) -> Context:
    """Return a new trace from `DRAW_BITS` random bits.

    >>> started((1 << 64) + 2).line
    b'traceparent: 00-00000000000000000000000000000001-0000000000000002-00\\r\\n'
    """
    digits = draw.to_bytes(DRAW_BITS // 8, "big").hex()
    return Context(digits[:32], digits[32:], is_sampled)


def started_line(draw: int) -> bytes:
    """Return the line of a new trace that is not sampled: `started(draw).line`, at a fifth of its cost."""
    return b"traceparent: 00-" + hexlify(draw.to_bytes(DRAW_BITS // 8, "big"), b"-", -TRACE_ID_BYTES) + b"-00\r\n"


def is_valid(value: bytes) -> bool:
    """Tell whether `parse` would return something."""
    match = _VALUE.fullmatch(value)
    return match is not None and not (match[5] and match[1] == b"00")


def child(parent: Context, draw: int) -> Context:
    """Return the next span of a trace from `SPAN_BITS` random bits; who was sampled stays so."""
    return Context(parent.trace_id, f"{draw or 1:016x}", parent.is_sampled)


def is_drawn(context: Context, rate: float) -> bool:
    """Tell whether a new trace is among the `rate` (0 to 1) that are sampled.

    It follows from the trace id, so that everybody who asks says the same (TraceIdRatioBased of OpenTelemetry).
    """
    return int(context.trace_id[16:], 16) < rate * (1 << 64)


def passed_lines(parent: bytes, state: bytes | None) -> bytes:
    """Return the lines that pass a valid `traceparent` and its `tracestate` on as they came."""
    return b"traceparent: %b\r\n%b" % (parent, state_line(state))


def state_line(state: bytes | None) -> bytes:
    """Return the line that passes a `tracestate` on; none where it is absent or too long."""
    return b"tracestate: %b\r\n" % state if state and len(state) <= STATE_LIMIT_BYTES else b""
