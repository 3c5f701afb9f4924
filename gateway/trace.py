"""Starts a trace where the client brought none: the `traceparent` line of W3C Trace Context, level 1.

Pure: the random number is handed in. A `traceparent` that came with the request is passed on untouched, elsewhere.
"""

from __future__ import annotations

DRAW_BITS = 192
"""Random bits that `started` takes: 128 of the trace id and 64 of the parent id."""


def started(draw: int) -> bytes:
    """Return the header line of a new trace that nobody has decided to sample (flags 00).

    >>> started((1 << 64) + 2)
    b'traceparent: 00-00000000000000000000000000000001-0000000000000002-00\\r\\n'
    """
    digits = draw.to_bytes(DRAW_BITS // 8, "big").hex()
    return f"traceparent: 00-{digits[:32]}-{digits[32:]}-00\r\n".encode()
