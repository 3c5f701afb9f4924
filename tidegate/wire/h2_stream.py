"""One HTTP/2 stream, seen from either side: what waits to be sent, and what was received but not yet consumed.

Bytes leave as far as the peer's windows allow; above a watermark the source is told to pause. The window that the
peer sees opens only when the other side has taken the bytes. Knows frames and windows, no requests.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from tidegate.wire.director import HeaderLine
from tidegate.wire.h2_heads import Headers

if TYPE_CHECKING:
    from tidegate.wire.h2_session import Session

OUT_HIGH_BYTES = 64 * 1024
OUT_LOW_BYTES = 16 * 1024


SessionT = TypeVar("SessionT", bound="Session")


class Stream(Generic[SessionT]):
    """A stream of a session. Subclasses say what its events mean."""

    __slots__ = (
        "_head",
        "_is_ending",
        "_is_full",
        "_out",
        "_out_bytes",
        "_trailers",
        "_unacked",
        "id",
        "is_closed",
        "is_in_done",
        "is_out_done",
        "moved_at",
        "session",
    )

    def __init__(self, session: SessionT, stream_id: int) -> None:
        self.session = session
        self.id = stream_id
        # sending
        self._head: Headers | None = None
        self._out: deque[bytes | memoryview] = deque()
        self._out_bytes = 0
        self._trailers: tuple[HeaderLine, ...] = ()
        self._is_ending = False
        self._is_full = False
        self.is_out_done = False
        self.moved_at = 0.0
        # receiving
        self._unacked = 0
        self.is_in_done = False
        self.is_closed = False  # reset, or forgotten: nothing is sent any more

    # --- hooks ---

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

    def put_head(self, headers: Headers) -> None:
        """Send a head with what follows in this turn of the loop."""
        self._head = headers
        self.session.wants(self)

    def put(self, pieces: Sequence[bytes]) -> None:
        """Send payload."""
        if self.is_closed:
            return
        if not self._out:
            self.moved_at = time.monotonic()
        for piece in pieces:
            if piece:
                self._out.append(piece)
                self._out_bytes += len(piece)
        self.session.wants(self)
        if self._out_bytes > OUT_HIGH_BYTES and not self._is_full:
            self._is_full = True
            self.out_full()

    def end(self, trailers: tuple[HeaderLine, ...] = ()) -> None:
        """End our side when everything was sent."""
        self._is_ending, self._trailers = True, trailers
        self.session.wants(self)

    def pump(self) -> bool:
        """Send what the windows allow; returns whether something is left."""
        if self.is_closed or self.is_out_done:
            return False
        if self._head is not None:
            head, self._head = self._head, None
            if self._is_ending and not self._out and not self._trailers:
                self.is_out_done = True
            self.session.connection.send_headers(self.id, head, end_stream=self.is_out_done)
        if self._out:
            self._pump_data()
        if self._is_ending and not self._out and not self.is_out_done:
            self._pump_end()
        if self.is_out_done:
            self.out_done()
        elif self._is_full and self._out_bytes <= OUT_LOW_BYTES:
            self._is_full = False
            self.out_free()
        return bool(self._out)

    def _pump_data(self) -> None:
        connection, out = self.session.connection, self._out
        window = connection.local_flow_control_window(self.id)
        most = connection.max_outbound_frame_size
        while out and window > 0:
            piece = out.popleft()
            size = min(len(piece), window, most)
            if size < len(piece):
                view = memoryview(piece)
                out.appendleft(view[size:])
                piece = view[:size]
            is_last = self._is_ending and not out and not self._trailers
            connection.send_data(self.id, piece, end_stream=is_last)
            self.is_out_done = is_last
            window -= size
            self._out_bytes -= size
            self.moved_at = time.monotonic()

    def _pump_end(self) -> None:
        self.is_out_done = True
        if self._trailers:
            headers = [(name.lower(), value) for name, value in self._trailers]
            self.session.connection.send_headers(self.id, headers, end_stream=True)
        else:
            self.session.connection.end_stream(self.id)

    # --- receiving ---

    def received(self, count: int) -> None:
        """Count flow-controlled bytes that arrived."""
        self._unacked += count

    def consumed(self) -> None:
        """Open the window again for everything that arrived: it was passed on."""
        if self._unacked:
            count, self._unacked = self._unacked, 0
            self.session.acknowledge(self.id, count)

    def close(self) -> None:
        """Drop what is left."""
        self.is_closed = True
        self._out.clear()
        self._head = None
        self.consumed()
