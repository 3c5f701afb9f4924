"""One HTTP/2 stream, seen from either side: what waits to be sent, and what was received but not yet consumed.

Bytes leave at once as far as the peer's windows allow; what does not is kept, and above a watermark the source is told
to pause. The window that the peer sees opens only when the other side has taken the bytes. Knows no requests.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from tidegate.wire import hpack_encoder
from tidegate.wire.director import HeaderLine
from tidegate.wire.h2_frames import END_STREAM
from tidegate.wire.h2_heads import ANY_LENGTH

if TYPE_CHECKING:
    from tidegate.wire.h2_session import Session

OUT_HIGH_BYTES = 256 * 1024
OUT_LOW_BYTES = 64 * 1024
WINDOW_BYTES = 256 * 1024
"""What the peer may send ahead on a stream whose bytes are taken; until the first are, its first window."""


SessionT = TypeVar("SessionT", bound="Session")


class Stream(Generic[SessionT]):
    """A stream of a session. Subclasses say what its events mean."""

    __slots__ = (
        "_is_ending",
        "_is_full",
        "_out",
        "_out_bytes",
        "_trailers",
        "expected",
        "id",
        "in_left",
        "in_size",
        "is_closed",
        "is_in_done",
        "is_out_done",
        "moved_at",
        "session",
        "unacked",
        "window",
    )

    def __init__(self, session: SessionT, stream_id: int) -> None:
        self.session = session
        self.id = stream_id
        # sending
        self.window = session.peer.window_bytes
        self._out: deque[bytes | memoryview] | None = None
        self._out_bytes = 0
        self._trailers: Sequence[HeaderLine] = ()
        self._is_ending = False
        self._is_full = False
        self.is_out_done = False
        self.moved_at = 0.0
        # receiving
        self.in_left = self.in_size = session.first_window_bytes
        self.unacked = 0
        self.expected = ANY_LENGTH  # how many bytes are still to come, where the head said so
        self.is_in_done = False
        self.is_closed = False  # reset, or forgotten: nothing is sent any more

    # --- hooks ---

    @property
    def has_begun(self) -> bool:
        """Whether an answer has begun."""
        return True

    def out_full(self) -> None:
        """Take the news that enough waits to be sent."""

    def out_free(self) -> None:
        """Take the news that more can be taken."""

    def out_done(self) -> None:
        """Take the news that everything was sent."""

    # --- sending ---

    @property
    def is_stuck(self) -> bool:
        """Whether something waits for the peer's window."""
        return bool(self._out) and not self.is_closed

    def put_head(self, block: bytes) -> None:
        """Send a header block."""
        if not self.is_closed:
            self.session.write_headers(self, block, 0)

    def put(self, pieces: Sequence[bytes]) -> None:
        """Send payload when the windows allow."""
        if self.is_closed:
            return
        session = self.session
        piece: bytes | memoryview
        for piece in pieces:
            if not piece:
                continue
            if not self._out:
                if session.write_data(self, piece):
                    continue
                piece = session.write_part(self, piece)
                if not piece:
                    continue
            if self._out is None:
                self._out = deque()
            if not self._out:
                self.moved_at = time.monotonic()  # from now on the peer is waited for
            self._out.append(piece)
            self._out_bytes += len(piece)
            session.wants(self)
        if self._out_bytes > OUT_HIGH_BYTES and not self._is_full:
            self._is_full = True
            self.out_full()

    def end(self, trailers: Sequence[HeaderLine] = ()) -> None:
        """End our side when everything was sent."""
        if self.is_closed or self.is_out_done:
            return
        self._trailers = trailers
        if self._out:
            self._is_ending = True
        else:
            self._end()

    def _end(self) -> None:
        self.is_out_done = True
        if self._trailers:
            block = hpack_encoder.encode([(name.lower(), value) for name, value in self._trailers])
            self.session.write_headers(self, block, END_STREAM)
        else:
            self.session.write_end(self)
        self.out_done()

    def pump(self) -> None:
        """Send of what waits as much as the windows allow."""
        out = self._out
        if self.is_closed or not out:
            return
        session = self.session
        before = self._out_bytes
        while out:
            piece = out.popleft()
            self._out_bytes -= len(piece)
            if session.write_data(self, piece):
                continue
            rest = session.write_part(self, piece)
            if rest:
                out.appendleft(rest)
                self._out_bytes += len(rest)
                break
        if self._out_bytes != before:
            self.moved_at = time.monotonic()
        if self._is_ending and not out:
            self._end()
        elif self._is_full and self._out_bytes <= OUT_LOW_BYTES:
            self._is_full = False
            self.out_free()

    # --- receiving ---

    def consumed(self) -> None:
        """Open the window again for what arrived: it was passed on. Small amounts are collected."""
        if self.is_in_done or self.unacked * 2 < self.in_size:
            return
        count, self.unacked = self.unacked, 0
        if self.in_size < WINDOW_BYTES:
            count += WINDOW_BYTES - self.in_size
            self.in_size = WINDOW_BYTES
        self.in_left += count
        self.session.open_window(self, count)

    def close(self) -> None:
        """Drop what is left."""
        self.is_closed = True
        self._out = None
        self._out_bytes = 0
