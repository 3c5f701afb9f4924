"""One HTTP/2 connection, seen from either side: frames in and out, windows, GOAWAY. h2 knows the protocol.

Everything that streams want to send in one turn of the loop leaves in one write. Which streams there are and what
their events mean is the subclasses' matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes
from h2.frame_buffer import CONTINUATION_BACKLOG
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from tidegate.wire.h2_stream import Stream

logger = logging.getLogger(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAMS_LIMIT = 100
STREAMS_SLACK = 200
"""Streams beyond the limit that are refused one by one: a client may open them before it has read our SETTINGS."""
STREAM_WINDOW_BYTES = 256 * 1024
CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024
HEADER_LIST_BYTES = 64 * 1024
FIRST_WINDOW_BYTES = 65_535


class Connection(h2.connection.H2Connection):
    """h2's connection with three of its rules changed."""

    MAX_CLOSED_STREAMS = 4096
    """Ended streams that h2 remembers; its own bound, sixteen times that, is megabytes per long-lived connection."""
    is_flooded = False

    @property
    def open_inbound_streams(self) -> int:
        """Count the peer's streams beyond the slack: h2 ends the connection at the first one above the limit."""
        return max(0, super().open_inbound_streams - STREAMS_SLACK)

    def _terminate_connection(self, error_code: ErrorCodes) -> None:
        """Call a header block in too many frames what it is: h2 makes a protocol error of it."""
        self.is_flooded = error_code == ErrorCodes.ENHANCE_YOUR_CALM
        if len(self.incoming_buffer._headers_buffer) > CONTINUATION_BACKLOG:
            self.is_flooded, error_code = True, ErrorCodes.ENHANCE_YOUR_CALM
        super()._terminate_connection(error_code)

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        """Go on after a GOAWAY: h2 takes it as the end, and refuses the frames of streams that may still finish."""
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


def _connection(*, is_client: bool) -> Connection:
    config = h2.config.H2Configuration(
        client_side=is_client,
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    connection = Connection(config)
    values = {
        SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_LIMIT,
        SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
        SettingCodes.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES,
    }
    if is_client:
        values[SettingCodes.ENABLE_PUSH] = 0
    connection.local_settings = Settings(client=is_client, initial_values=values)
    connection.decoder.max_header_list_size = HEADER_LIST_BYTES
    return connection


class Session:
    """One connection with its streams."""

    __slots__ = (
        "_is_flush_due",
        "_loop",
        "_ready",
        "connection",
        "filed_until",
        "is_lost",
        "is_write_paused",
        "since",
        "streams",
        "transport",
    )

    def __init__(self, *, is_client: bool) -> None:
        self.connection = _connection(is_client=is_client)
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.streams: dict[int, Any] = {}
        self.filed_until = float("inf")
        self.is_lost = False
        self.is_write_paused = False
        self.since = time.monotonic()  # when the last stream ended
        self._loop = asyncio.get_running_loop()
        self._ready: dict[Stream[Any], None] = {}
        self._is_flush_due = False

    def greet(self) -> None:
        """Send preface and SETTINGS, and open the connection's window."""
        self.connection.initiate_connection()
        self.connection.increment_flow_control_window(CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES)
        self.flush()

    # --- hooks ---

    def take(self, event: h2.events.Event) -> None:
        """Act on one event."""
        raise NotImplementedError

    def broken(self, error: Exception) -> None:
        """Take the news that the peer does not speak HTTP/2, or floods us; a GOAWAY is on its way."""
        raise NotImplementedError

    # --- receiving ---

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        if self.is_lost:
            return
        try:
            events = self.connection.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.flush()
            self.broken(error)
            return
        for event in events:
            if not self.is_lost:  # an event may end the connection
                self.take(event)
        self.want_flush()

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Open the windows again by bytes that were consumed."""
        if not self.is_lost:
            self.connection.acknowledge_received_data(count, stream_id)
            self.want_flush()

    # --- sending ---

    def wants(self, stream: Stream[Any]) -> None:
        """Note that a stream has something to send."""
        self._ready[stream] = None
        self.want_flush()

    def want_flush(self) -> None:
        """Write at the end of this turn of the loop."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what the windows allow."""
        self._is_flush_due = False
        if self.is_lost:
            return
        if not self.is_write_paused and self._ready:
            ready, self._ready = self._ready, {}
            for stream in ready:
                if self._pump(stream):
                    self._ready[stream] = None
        data = self.connection.data_to_send()
        if data and not self.transport.is_closing():
            self.sent(len(data))
            self.transport.write(data)

    def _pump(self, stream: Stream[Any]) -> bool:
        try:
            return stream.pump()
        except h2.exceptions.ProtocolError as error:  # the peer has closed it meanwhile; its event follows
            logger.debug("stream %d cannot be sent on: %r", stream.id, error)
            return False

    def sent(self, count: int) -> None:
        """Count bytes written."""

    def reset(self, stream: Stream[Any], code: ErrorCodes) -> None:
        """End a stream at once."""
        if not stream.is_closed and not self.is_lost:
            try:
                self.connection.reset_stream(stream.id, code)
            except h2.exceptions.ProtocolError:
                pass  # it has ended already
            self.want_flush()
        self.forget(stream)

    def forget(self, stream: Stream[Any]) -> None:
        """Drop a stream that has ended."""
        stream.close()
        self.streams.pop(stream.id, None)
        self._ready.pop(stream, None)
        if not self.streams:
            self.since = time.monotonic()
            self.emptied()

    def emptied(self) -> None:
        """Take the news that the last stream has ended."""

    def go_away(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Announce the end; streams that run may finish. h2's own would end them, so the frame is written here."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = self.connection.highest_inbound_stream_id
        frame.error_code = code
        self.flush()
        if not self.transport.is_closing():
            self.transport.write(frame.serialize())

    # --- called by the transport ---

    def pause_writing(self) -> None:
        """Let streams wait: the peer does not read."""
        self.is_write_paused = True

    def resume_writing(self) -> None:
        """Send on."""
        self.is_write_paused = False
        self.want_flush()
