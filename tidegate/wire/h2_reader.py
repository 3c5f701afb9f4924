"""Bytes of an HTTP/2 connection to frames, checked as far as one frame can be (RFC 9113 section 4 and 6). Pure.

The reader cuts frames, joins CONTINUATION to its HEADERS, strips padding and priorities, and calls its `Sink`. What a
stream's state allows is the sink's matter. Errors of the connection are raised as `ConnectionFailed`.
"""

from __future__ import annotations

import struct
from typing import Protocol

from tidegate.wire import h2_frames as frames
from tidegate.wire.h2_frames import HEAD, ConnectionFailed, ErrorCode

CONTINUATIONS_LIMIT = 32
BLOCK_BYTES = 256 * 1024
"""Bounds on one header block: how many further frames, how many bytes."""

_STREAM_ONLY = frozenset(
    {frames.DATA, frames.HEADERS, frames.PRIORITY, frames.RST_STREAM, frames.PUSH_PROMISE, frames.CONTINUATION}
)
_CONNECTION_ONLY = frozenset({frames.SETTINGS, frames.PING, frames.GOAWAY})
_NAMES = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE"),
    "CONTINUATION",
)
_LONG = struct.Struct(">L")
_TWO_LONGS = struct.Struct(">LL")


class Sink(Protocol):
    """Who takes the frames. `is_lost`: nothing more is wanted."""

    is_lost: bool

    def on_data(self, stream_id: int, data: bytes, size: int, is_end: bool) -> None:
        """Take DATA; `size` counts for the windows, padding included."""

    def on_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        """Take a complete header block."""

    def on_reset(self, stream_id: int, code: int) -> None:
        """Take RST_STREAM."""

    def on_settings(self, payload: bytes) -> None:
        """Take SETTINGS."""

    def on_settings_ack(self) -> None:
        """Take the acknowledgement of our SETTINGS."""

    def on_ping(self, payload: bytes, is_ack: bool) -> None:
        """Take PING."""

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Take GOAWAY."""

    def on_window(self, stream_id: int, count: int) -> None:
        """Take WINDOW_UPDATE; `count` may be 0, which is an error."""

    def on_ignored(self, stream_id: int) -> None:
        """Take notice of a frame that means nothing here: PRIORITY, or of an unknown type."""

    def on_stream_error(self, stream_id: int, code: ErrorCode) -> None:
        """Take a malformed frame that concerns one stream only."""


class FrameReader:
    """Reads the frames of one connection; a server's begins with the client's preface.

    `limit_bytes`: the longest payload that we announced to take.
    """

    __slots__ = (
        "_block",
        "_block_frames",
        "_block_stream",
        "_has_settings",
        "_is_end",
        "_is_usual",
        "_limit_bytes",
        "_preface",
        "_rest",
        "_sink",
    )

    def __init__(self, sink: Sink, *, expects_preface: bool, limit_bytes: int) -> None:
        self._sink = sink
        self._preface = frames.PREFACE if expects_preface else b""
        self._limit_bytes = limit_bytes
        self._rest = b""
        self._has_settings = False
        # a header block that is not complete yet
        self._block_stream = 0
        self._block = b""
        self._block_frames = 0
        self._is_end = False
        self._is_usual = False
        """Whether a frame may be of any type: SETTINGS has come first, and no header block is open."""

    def feed(self, data: bytes) -> None:
        """Read bytes as they came. Raises ConnectionFailed."""
        if self._rest:
            data = self._rest + data
        position = self._read_preface(data) if self._preface else 0
        sink, unpack, limit = self._sink, HEAD.unpack_from, self._limit_bytes
        size = len(data)
        while size - position >= 9:
            high, low, kind, flags, stream_id = unpack(data, position)
            start = position + 9
            length = high << 8 | low
            if length > limit:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a frame is too long")
            if start + length > size:
                break
            position = start + length
            # The common frames of a call; whatever else there is goes the long way.
            if kind == 0 and not flags & 0x08 and self._is_usual and 0 < stream_id < 0x80000000:
                sink.on_data(stream_id, data[start:position], length, flags & 1 == 1)
            elif kind == 1 and flags & 0x2C == 0x04 and self._is_usual and 0 < stream_id < 0x80000000:
                sink.on_headers(stream_id, data[start:position], flags & 1 == 1)
            else:
                self._take(kind, flags, stream_id & 0x7FFFFFFF, data[start:position])
            if sink.is_lost:
                return
        self._rest = data[position:]

    def _read_preface(self, data: bytes) -> int:
        """Return the position behind the preface, as far as it is there."""
        taken = min(len(data), len(self._preface))
        if data[:taken] != self._preface[:taken]:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "the preface is not HTTP/2's")
        self._preface = self._preface[taken:]
        return taken

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = self._is_usual = True
        if self._block_stream and (kind != frames.CONTINUATION or stream_id != self._block_stream):
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if (kind in _STREAM_ONLY) if stream_id == 0 else (kind in _CONNECTION_ONLY):
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, f"{_NAMES[kind]} on stream {stream_id}")
        if kind == frames.DATA:
            data = _unpadded(flags, payload)
            self._sink.on_data(stream_id, data, len(payload), flags & frames.END_STREAM != 0)
        elif kind == frames.HEADERS:
            self._begin_block(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._continue_block(flags, payload)
        elif kind == frames.SETTINGS:
            self._take_settings(flags, payload)
        elif kind == frames.PUSH_PROMISE:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE was not allowed")
        else:
            self._take_short(kind, flags, stream_id, payload)

    def _take_short(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take the frames of a fixed length, and what is ignored."""
        sink, size = self._sink, len(payload)
        if kind == frames.WINDOW_UPDATE:
            _expect(size == 4, "WINDOW_UPDATE")
            sink.on_window(stream_id, _LONG.unpack(payload)[0] & 0x7FFFFFFF)
        elif kind == frames.RST_STREAM:
            _expect(size == 4, "RST_STREAM")
            sink.on_reset(stream_id, _LONG.unpack(payload)[0])
        elif kind == frames.PING:
            _expect(size == 8, "PING")
            sink.on_ping(payload, flags & frames.ACK != 0)
        elif kind == frames.GOAWAY:
            _expect(size >= 8, "GOAWAY")
            last_stream_id, code = _TWO_LONGS.unpack_from(payload)
            sink.on_goaway(last_stream_id & 0x7FFFFFFF, code)
        elif kind == frames.PRIORITY and size != 5:
            sink.on_stream_error(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        else:
            sink.on_ignored(stream_id)

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            _expect(not payload, "the acknowledgement of SETTINGS")
            self._sink.on_settings_ack()
        else:
            self._sink.on_settings(payload)

    def _begin_block(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = _unpadded(flags, payload)
        if flags & frames.PRIORITISED:
            if len(block) < 5:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority")
            block = block[5:]  # RFC 9113 section 5.3 has no use for them any more
        is_end = flags & frames.END_STREAM != 0
        if flags & frames.END_HEADERS:
            self._sink.on_headers(stream_id, block, is_end)
        else:
            self._block_stream, self._block, self._is_end = stream_id, block, is_end
            self._block_frames = 0
            self._is_usual = False

    def _continue_block(self, flags: int, payload: bytes) -> None:
        if not self._block_stream:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block += payload
        self._block_frames += 1
        if self._block_frames > CONTINUATIONS_LIMIT or len(self._block) > BLOCK_BYTES:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "a header block has no end", flood="headers")
        if flags & frames.END_HEADERS:
            stream_id, self._block_stream = self._block_stream, 0
            block, self._block = self._block, b""
            self._is_usual = True
            self._sink.on_headers(stream_id, block, self._is_end)


def _expect(is_right: bool, name: str) -> None:
    if not is_right:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, f"{name} has the wrong length")


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Return a payload without its padding (RFC 9113 section 6.1)."""
    if not flags & frames.PADDED:
        return payload
    if not payload:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a length of its padding")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - padding]
