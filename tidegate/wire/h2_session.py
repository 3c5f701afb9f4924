"""One HTTP/2 connection, seen from either side: its windows, its settings, its end; frames come from `h2_reader`.

The sending half is `h2_sending`'s; which streams there are and what their frames mean is the subclasses' matter. What
the peer may not do (RFC 9113) ends the stream or the connection here.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from tidegate.wire import h2_frames as frames
from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import HeaderLine
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_reader import FrameReader
from tidegate.wire.h2_sending import Sending
from tidegate.wire.h2_stream import Stream
from tidegate.wire.hpack_decoder import Decoder

logger = logging.getLogger(__name__)

STREAMS_LIMIT = 100
FRAME_BYTES = 64 * 1024
HEADER_LIST_BYTES = 64 * 1024
CONNECTION_WINDOW_BYTES = 32 * 1024 * 1024
"""More than the windows of all streams: one that nobody takes from does not hold up the others."""
HEADS_KEPT_BYTES = 256 * 1024
HEAD_OVERHEAD_BYTES = 1024
"""What heads that are remembered may take of one connection's memory, and what one takes beside its bytes."""
HEAD_KEPT_BYTES = 2048
LIST_KEPT_BYTES = 8192
"""How long a block, and the list that it stands for, may be to be remembered."""
RESETS_KEPT = 1024


class Session(Sending):
    """One connection with its streams."""

    __slots__ = (
        "_decoder",
        "_in_taken",
        "_kept_bytes",
        "_reader",
        "_resets",
        "filed_until",
        "first_window_bytes",
        "heads",
        "heads_ended",
        "highest_id",
        "is_client",
        "since",
        "streams",
        "trailers",
    )

    def __init__(self, *, is_client: bool, first_window_bytes: int) -> None:
        super().__init__()
        self.is_client = is_client
        self.streams: dict[int, Any] = {}
        self.highest_id = 0
        """The highest stream that was opened: by the client in either case, for nothing is pushed."""
        self.filed_until = NEVER
        self.since = time.monotonic()  # when the last stream ended
        self._resets: dict[int, None] = {}  # streams that we ended while the peer may still send
        # receiving
        self._reader = FrameReader(self, expects_preface=not is_client, limit_bytes=FRAME_BYTES)
        self._decoder = Decoder(HEADER_LIST_BYTES)
        self.first_window_bytes = first_window_bytes
        self._in_taken = 0
        # Header blocks whose meaning is known, as long as the decoder's table stands.
        self.heads: dict[bytes, Any] = {}
        self.heads_ended: dict[bytes, Any] = {}
        self.trailers: dict[bytes, tuple[HeaderLine, ...]] = {}
        self._kept_bytes = 0

    def greet(self) -> None:
        """Send preface and SETTINGS, and open the connection's window."""
        values = {
            frames.MAX_CONCURRENT_STREAMS: STREAMS_LIMIT,
            frames.INITIAL_WINDOW_SIZE: self.first_window_bytes,
            frames.MAX_FRAME_SIZE: FRAME_BYTES,
            frames.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES,
        }
        if self.is_client:
            values[frames.ENABLE_PUSH] = 0
            self._out.append(frames.PREFACE)
        self._out.append(frames.settings(values))
        self._out.append(frames.window_update(0, CONNECTION_WINDOW_BYTES - frames.FIRST_WINDOW_BYTES))
        self.flush()

    def eof_received(self) -> bool:
        """Take the peer's end of input: no stream can go on without it. What is written is still sent."""
        return False

    # --- hooks ---

    def on_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        """Take a header block."""
        raise NotImplementedError

    def take_data(self, stream: Any, data: bytes, is_end: bool) -> None:
        """Take payload that keeps to the windows and to the announced length."""
        raise NotImplementedError

    def reset_by_peer(self, stream: Any, code: int) -> None:
        """Take the end of a stream."""
        raise NotImplementedError

    def stream_failed(self, stream: Any, code: ErrorCode) -> None:
        """End a stream whose peer broke a rule."""
        raise NotImplementedError

    def failed(self, error: ConnectionFailed) -> None:
        """End a connection whose peer broke a rule, or floods us; the GOAWAY that says so is written."""
        raise NotImplementedError

    def spend(self, kind: str) -> None:
        """Count a cheap frame. Raises ConnectionFailed when there are too many of its kind."""

    def settings_changed(self) -> None:
        """Take the news of the peer's SETTINGS."""

    def ping_answered(self) -> None:
        """Take the answer to our PING."""

    def emptied(self) -> None:
        """Take the news that the last stream has ended."""

    # --- receiving ---

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        if self.is_lost:
            return
        self._is_flush_due = True  # what this brings about on this connection is written below
        try:
            self._reader.feed(data)
        except ConnectionFailed as error:
            self.fail(error)
        self.flush()

    def on_data(self, stream_id: int, data: bytes, size: int, is_end: bool) -> None:
        """Take DATA: keep the windows, and the length that the head announced."""
        if size:
            self._in_taken += size
            if self._in_taken * 2 >= CONNECTION_WINDOW_BYTES:
                if self._in_taken > CONNECTION_WINDOW_BYTES:
                    raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is exceeded")
                self._out.append(frames.window_update(0, self._in_taken))
                self._in_taken = 0
        stream = self.streams.get(stream_id)
        if stream is None:
            self.frame_for_nobody(stream_id)
            return
        if not data and not is_end:
            self.spend("empty")
        stream.in_left -= size
        stream.unacked += size
        if stream.is_in_done or stream.in_left < 0:
            code = ErrorCode.STREAM_CLOSED if stream.is_in_done else ErrorCode.FLOW_CONTROL_ERROR
            self.stream_failed(stream, code)
            return
        if stream.expected >= 0:
            stream.expected -= len(data)
            if stream.expected < 0 or (is_end and stream.expected):
                self.stream_failed(stream, ErrorCode.PROTOCOL_ERROR)
                return
        stream.is_in_done = is_end
        self.take_data(stream, data, is_end)

    def decode(self, block: bytes) -> tuple[list[HeaderLine], bool]:
        """Return a block's headers, and whether they may be kept for the next block with the same bytes."""
        before = self._decoder.changes
        headers = self._decoder.decode(block)
        if self._decoder.changes == before:
            return headers, len(block) <= HEAD_KEPT_BYTES and self._decoder.list_bytes <= LIST_KEPT_BYTES
        self._forget_heads()
        return headers, False

    def remember(self, heads: dict[bytes, Any], block: bytes, meaning: object) -> None:
        """Keep what the block decoded last means.

        When too much is kept all of it is dropped, for what is common is soon back.
        """
        # A byte of a block may stand for kilobytes in the table, so what it says counts.
        size = len(block) + self._decoder.list_bytes * 3 + HEAD_OVERHEAD_BYTES
        self._kept_bytes += size
        if self._kept_bytes > HEADS_KEPT_BYTES:
            self._forget_heads()
            self._kept_bytes = size
        heads[block] = meaning

    def _forget_heads(self) -> None:
        self.heads.clear()
        self.heads_ended.clear()
        self.trailers.clear()
        self._kept_bytes = 0

    @property
    def is_list_too_large(self) -> bool:
        """Whether the headers decoded last were cut."""
        return self._decoder.is_too_large

    def frame_for_nobody(self, stream_id: int) -> None:
        """Take a frame of a stream that is not open: late, or against the rules."""
        self.check_not_idle(stream_id)
        if stream_id not in self._resets:
            self.spend("refused")
            self._out.append(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))

    def check_not_idle(self, stream_id: int) -> None:
        """Refuse a frame for a stream that nobody has opened."""
        if stream_id > self.highest_id or not stream_id & 1:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} is not open")

    def was_reset(self, stream_id: int) -> bool:
        """Tell whether we ended this stream of late, so that what comes for it is late and no offence."""
        return stream_id in self._resets

    def on_reset(self, stream_id: int, code: int) -> None:
        """Take RST_STREAM."""
        self.check_not_idle(stream_id)
        stream = self.streams.get(stream_id)
        # Taking back what was answered costs us no more than asking did.
        self.spend("reset" if stream is not None and not stream.has_begun else "empty")
        if stream is not None:
            self.reset_by_peer(stream, code)

    def on_settings(self, payload: bytes) -> None:
        """Take SETTINGS: every stream's window moves with the first one."""
        self.spend("settings")
        change = self.peer.take(payload, from_server=self.is_client)
        if change:
            for stream in self.streams.values():
                stream.window += change
                if stream.window > frames.LARGEST_WINDOW_BYTES:
                    raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
                if change > 0 and stream.is_stuck:
                    self._ready[stream] = None
        self._out.append(frames.SETTINGS_ACK)
        self.settings_changed()

    def on_settings_ack(self) -> None:
        """Take the acknowledgement of our SETTINGS: none of ours is stricter than the protocol's first values."""

    def on_ping(self, payload: bytes, is_ack: bool) -> None:
        """Answer PING."""
        if is_ack:
            self.ping_answered()
        else:
            self.spend("ping")
            self._out.append(frames.ping(payload, is_ack=True))

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Take GOAWAY: of a client it says nothing that its closing does not."""

    def on_window(self, stream_id: int, count: int) -> None:
        """Take WINDOW_UPDATE."""
        if stream_id == 0:
            self.window += count
            if not count or self.window > frames.LARGEST_WINDOW_BYTES:
                code = ErrorCode.FLOW_CONTROL_ERROR if count else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFailed(code, "the connection's window is out of bounds")
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self.check_not_idle(stream_id)
            return
        stream.window += count
        if not count or stream.window > frames.LARGEST_WINDOW_BYTES:
            self.stream_failed(stream, ErrorCode.FLOW_CONTROL_ERROR if count else ErrorCode.PROTOCOL_ERROR)
        elif stream.is_stuck:
            self._ready[stream] = None

    def on_ignored(self, stream_id: int) -> None:
        """Count a frame that means nothing here."""
        self.spend("empty")

    def on_stream_error(self, stream_id: int, code: ErrorCode) -> None:
        """Take a frame that is malformed for its stream."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.stream_failed(stream, code)
        else:
            self.spend("refused")
            self._out.append(frames.rst_stream(stream_id, code))

    def fail(self, error: ConnectionFailed) -> None:
        """Say why and end the connection."""
        logger.debug("an HTTP/2 connection fails: %s: %s", error.code.name, error)
        self.go_away(error.code)
        self.failed(error)

    # --- ends ---

    def reset(self, stream: Stream[Any], code: ErrorCode) -> None:
        """End a stream at once."""
        if stream.id and not stream.is_closed and not self.is_lost and not (stream.is_in_done and stream.is_out_done):
            if len(self._resets) >= RESETS_KEPT:
                del self._resets[next(iter(self._resets))]
            self._resets[stream.id] = None
            self._out.append(frames.rst_stream(stream.id, code))
            self.want_flush()
        self.forget(stream)

    def forget(self, stream: Stream[Any]) -> None:
        """Drop a stream that has ended."""
        stream.close()
        streams = self.streams
        if streams.pop(stream.id, None) is not None and not streams:
            self.since = time.monotonic()
            self.emptied()
        if self._ready:
            self._ready.pop(stream, None)

    def go_away(self, code: ErrorCode = ErrorCode.NO_ERROR, last_id: int | None = None) -> None:
        """Announce the end; streams up to `last_id` (all that were opened) may finish."""
        if not self.is_lost:
            if last_id is None:
                last_id = 0 if self.is_client else self.highest_id
            self._out.append(frames.goaway(last_id, code))
            self.flush_now()
