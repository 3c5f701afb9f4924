"""The frames of HTTP/2 (RFC 9113 section 4 and 6): numbers, and bytes of the frames that we send. Pure.

Reading is `h2_reader`'s. Nothing here knows connections or streams.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
FIRST_WINDOW_BYTES = 65_535
LARGEST_WINDOW_BYTES = (1 << 31) - 1
LARGEST_STREAM_ID = (1 << 31) - 1
SMALLEST_FRAME_LIMIT = 1 << 14
LARGEST_FRAME_LIMIT = (1 << 24) - 1

DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFailed(Exception):
    """The connection cannot go on. `flood`: which kind of cheap frames there were too many of, else empty."""

    def __init__(self, code: ErrorCode, detail: str, flood: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.flood = flood


class StreamFailed(Exception):
    """One stream cannot go on; the connection can."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


HEAD = struct.Struct(">HBBBL")
"""A frame's head: length in two parts, type, flags, stream."""
_LONG = struct.Struct(">L")
_TWO_LONGS = struct.Struct(">LL")
_SETTING = struct.Struct(">HL")


def head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return a frame's head for a payload of `size` bytes."""
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def settings(values: Mapping[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    payload = b"".join([_SETTING.pack(*pair) for pair in values.items()])
    return head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK = head(0, SETTINGS, ACK, 0)


def ping(payload: bytes, *, is_ack: bool) -> bytes:
    """Return a PING frame with these eight bytes."""
    return head(8, PING, ACK if is_ack else 0, 0) + payload


def window_update(stream_id: int, count: int) -> bytes:
    """Return a frame that opens a window by `count` bytes."""
    return head(4, WINDOW_UPDATE, 0, stream_id) + _LONG.pack(count)


def rst_stream(stream_id: int, code: int) -> bytes:
    """Return a frame that ends a stream."""
    return head(4, RST_STREAM, 0, stream_id) + _LONG.pack(code)


def goaway(last_stream_id: int, code: int, detail: bytes = b"") -> bytes:
    """Return a frame that announces the end of the connection."""
    return head(8 + len(detail), GOAWAY, 0, 0) + _TWO_LONGS.pack(last_stream_id, code) + detail


def headers(stream_id: int, block: bytes, flags: int, limit: int) -> bytes:
    """Return the frames of a header block; more than one where the peer takes no frame that long.

    `flags`: `END_STREAM` or 0. `limit`: the longest payload that the peer takes.
    """
    size = len(block)
    if size <= limit:
        return HEAD.pack(size >> 8, size & 0xFF, HEADERS, flags | END_HEADERS, stream_id) + block
    pieces = [block[start : start + limit] for start in range(0, size, limit)]
    frames = [head(limit, HEADERS, flags, stream_id) + pieces[0]]
    for piece in pieces[1:-1]:
        frames.append(head(limit, CONTINUATION, 0, stream_id) + piece)
    frames.append(head(len(pieces[-1]), CONTINUATION, END_HEADERS, stream_id) + pieces[-1])
    return b"".join(frames)
