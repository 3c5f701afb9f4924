"""What the peer of an HTTP/2 connection allows us (RFC 9113 section 6.5). Pure."""

from __future__ import annotations

import struct

from tidegate.wire import h2_frames as frames
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode

HEADER_TABLE_BYTES = 4096
"""Of HPACK, on either side, until somebody says otherwise; we never do."""

_SETTING = struct.Struct(">HL")


class PeerSettings:
    """The values in force: RFC 9113's first values until the peer's SETTINGS come."""

    __slots__ = ("frame_limit", "has_shrunk_table", "header_list_limit", "is_known", "streams_limit", "window_bytes")

    def __init__(self) -> None:
        self.is_known = False
        self.window_bytes = frames.FIRST_WINDOW_BYTES
        self.frame_limit = frames.SMALLEST_FRAME_LIMIT
        self.streams_limit = 1 << 31
        self.header_list_limit = 1 << 31
        self.has_shrunk_table = False
        """Whether our next header block has to say that it uses a smaller table (none): RFC 7541 section 4.2."""

    def take(self, payload: bytes, *, from_server: bool) -> int:
        """Take a SETTINGS payload; return by how much the window of each stream changes. Raises ConnectionFailed."""
        before = self.window_bytes
        if len(payload) % 6:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is no list of settings")
        for key, value in _SETTING.iter_unpack(payload):
            self._set(key, value, from_server=from_server)
        self.is_known = True
        return self.window_bytes - before

    def _set(self, key: int, value: int, *, from_server: bool) -> None:
        if key == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW_BYTES:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
            self.window_bytes = value
        elif key == frames.MAX_FRAME_SIZE:
            if not frames.SMALLEST_FRAME_LIMIT <= value <= frames.LARGEST_FRAME_LIMIT:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of bounds")
            self.frame_limit = value
        elif key == frames.ENABLE_PUSH:
            if value > 1 or (value and from_server):
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is not allowed")
        elif key == frames.MAX_CONCURRENT_STREAMS:
            self.streams_limit = value
        elif key == frames.HEADER_TABLE_SIZE:
            self.has_shrunk_table = self.has_shrunk_table or value < HEADER_TABLE_BYTES
        elif key == frames.MAX_HEADER_LIST_SIZE:
            self.header_list_limit = value
