"""The sending half of an HTTP/2 connection: frames of all streams, the peer's windows, one write per turn of the loop.

Knows streams only as that which has a window and may have to wait. What is read, and how a connection ends, is
`h2_session`'s.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tidegate.wire import h2_frames as frames
from tidegate.wire import hpack_encoder
from tidegate.wire.h2_frames import HEAD, ConnectionFailed, ErrorCode
from tidegate.wire.h2_settings import PeerSettings
from tidegate.wire.h2_stream import Stream

TURN_BYTES = 128 * 1024
"""Payload of one turn of the loop that is written before its end, so that the transport can say when it is enough."""
UNREAD_BYTES = 4 * 1024 * 1024
"""How much may wait in our buffer for a peer that goes on asking and does not read."""


class Sending:
    """What one connection sends."""

    __slots__ = (
        "_is_flush_due",
        "_loop",
        "_out",
        "_out_bytes",
        "_ready",
        "_tail",
        "_tail_at",
        "is_lost",
        "is_write_paused",
        "peer",
        "transport",
        "window",
    )

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.is_lost = False
        self.is_write_paused = False
        self._loop = asyncio.get_running_loop()
        self.peer = PeerSettings()
        self.window = frames.FIRST_WINDOW_BYTES
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0  # of payload
        self._tail: Stream[Any] | None = None  # whose frame is the last in `_out`, and where its head is
        self._tail_at = 0
        self._ready: dict[Stream[Any], None] = {}
        self._is_flush_due = False

    # --- hooks ---

    def sent(self, count: int) -> None:
        """Count bytes written."""

    def fail(self, error: ConnectionFailed) -> None:
        """Say why and end the connection."""
        raise NotImplementedError

    # --- frames ---

    def wants(self, stream: Stream[Any]) -> None:
        """Note that a stream has something to send that has to wait."""
        self._ready[stream] = None
        if not self._is_flush_due:
            self.want_flush()

    def want_flush(self) -> None:
        """Write at the end of this turn of the loop."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)

    def write_headers(self, stream: Stream[Any], block: bytes, flags: int) -> None:
        """Send a header block; `flags`: END_STREAM or 0."""
        if self.peer.has_shrunk_table:
            self.peer.has_shrunk_table = False
            block = hpack_encoder.EMPTY_TABLE + block
        self._tail, self._tail_at = stream, len(self._out)
        self._out.append(frames.headers(stream.id, block, flags, self.peer.frame_limit))
        if not self._is_flush_due:
            self.want_flush()

    def write_data(self, stream: Stream[Any], piece: bytes | memoryview) -> bool:
        """Send a piece if it fits into the windows and one frame; False when it does not."""
        size = len(piece)
        if size > stream.window or size > self.window or size > self.peer.frame_limit or self.is_write_paused:
            return False
        stream.window -= size
        self.window -= size
        out = self._out
        self._tail, self._tail_at = stream, len(out)
        out.append(HEAD.pack(size >> 8, size & 0xFF, 0, 0, stream.id))
        out.append(piece)
        self._out_bytes += size
        if self._out_bytes > TURN_BYTES:
            self.flush_now()
        elif not self._is_flush_due:
            self.want_flush()
        return True

    def write_part(self, stream: Stream[Any], piece: bytes | memoryview) -> memoryview:
        """Send of a piece what the windows allow, in as many frames as that takes; returns the rest."""
        rest, limit = memoryview(piece), self.peer.frame_limit
        while rest:
            size = min(len(rest), stream.window, self.window, limit)
            if size <= 0 or not self.write_data(stream, rest[:size]):
                break
            rest = rest[size:]
        return rest

    def write_end(self, stream: Stream[Any]) -> None:
        """End our side of a stream: by its last frame where that is not written yet, else by an empty one."""
        if self._tail is stream:
            frame = bytes(self._out[self._tail_at])
            self._out[self._tail_at] = b"%b%c%b" % (frame[:4], frame[4] | frames.END_STREAM, frame[5:])
            self._tail = None
            return
        self._out.append(frames.head(0, frames.DATA, frames.END_STREAM, stream.id))
        if not self._is_flush_due:
            self.want_flush()

    def open_window(self, stream: Stream[Any], count: int) -> None:
        """Let the peer send `count` bytes more on a stream."""
        if not self.is_lost and not stream.is_closed:
            self._out.append(frames.window_update(stream.id, count))
            self.want_flush()

    def flush(self) -> None:
        """Send what the windows allow."""
        self._is_flush_due = False
        if self.is_lost:
            return
        if self._ready and not self.is_write_paused and self.window > 0:
            self._pump()
        if not self._out:
            return
        self.flush_now()
        if self.is_write_paused and self.transport.get_write_buffer_size() > UNREAD_BYTES:
            self.fail(ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read", flood="unread"))

    def _pump(self) -> None:
        ready, self._ready = self._ready, {}
        served = []
        for stream in ready:
            window = stream.window
            stream.pump()
            if stream.is_stuck and stream.window > 0:  # it waits for the connection's window, or for the transport
                if stream.window < window:
                    served.append(stream)
                else:
                    self._ready[stream] = None
        for stream in served:  # behind those that got nothing: one that always has more would leave them nothing ever
            self._ready[stream] = None

    def flush_now(self) -> None:
        """Write what is there, whatever waits for windows."""
        out, self._out, self._tail, self._out_bytes = self._out, [], None, 0
        if out and not self.transport.is_closing():
            data = b"".join(out)
            self.sent(len(data))
            self.transport.write(data)

    # --- called by the transport ---

    def pause_writing(self) -> None:
        """Let streams wait: the peer does not read."""
        self.is_write_paused = True

    def resume_writing(self) -> None:
        """Send on."""
        self.is_write_paused = False
        self.want_flush()
