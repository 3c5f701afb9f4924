"""Traces are started in the form of W3C Trace Context."""

from __future__ import annotations

import random
import re

from gateway import trace

LINE = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-00\r\n")


def test_the_line_has_two_ids_and_is_not_sampled():
    match = LINE.fullmatch(trace.started((0xABC << 64) | 0x12))
    assert match is not None
    assert (int(match[1], 16), int(match[2], 16)) == (0xABC, 0x12)


def test_the_longest_draw_fits():
    assert LINE.fullmatch(trace.started((1 << trace.DRAW_BITS) - 1))
    assert LINE.fullmatch(trace.started(random.getrandbits(trace.DRAW_BITS)))
