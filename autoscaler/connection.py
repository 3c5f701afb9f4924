"""One connection at the report port: bytes become frames, within bounds, and frames become messages for Ingest.

Who sends too fast is read more slowly (TCP holds it back), who breaks the format, is silent or does not read what it is
told is cut off. Nothing here knows what a report means.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, cast

import msgspec

from tidegate.contracts import report as reports

if TYPE_CHECKING:
    from autoscaler.ingest import Ingest, Peer

log = logging.getLogger(__name__)

PREFIX_BYTES = 4
_length_at = struct.Struct(">I").unpack_from


class Connection(asyncio.Protocol):
    """One peer, from its Hello to its end."""

    __slots__ = (
        "_buffer",
        "_deadline",
        "_frame_limit",
        "_frames",
        "_ingest",
        "_needed",
        "_rate_limit",
        "_second",
        "_transport",
        "heard_at",
        "peer",
    )

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._needed = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._frame_limit = ingest.bounds.hello_bytes
        self._rate_limit = ingest.bounds.queueproxy_frames_per_s
        self._second = 0
        self._frames = 0
        self.peer: Peer | None = None
        self.heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time in which the peer must prove itself."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not subclasses of it
        self.heard_at = self._ingest.clock()
        self._ingest.connections.add(self)
        if len(self._ingest.connections) > self._ingest.bounds.connections:
            self.cut("too many connections")
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._ingest.bounds.hello_s, self.cut, "no hello in time")

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget what this peer reported."""
        self._ingest.connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self.peer is not None:
            self._ingest.leave(self.peer)

    def data_received(self, data: bytes) -> None:
        """Take whole frames; what is left waits for its rest."""
        self.heard_at = self._ingest.clock()
        if self._buffer:
            data = self._buffer = self._buffer + data
            if len(data) < self._needed:
                return
        self._take_frames(data)

    def send(self, said: reports.Said) -> None:
        """Tell the peer something; one that does not read is cut."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(reports.encode(said))
        if transport.get_write_buffer_size() > self._ingest.bounds.unread_bytes:
            self.cut("it does not read what it is told")

    def cut(self, why: str) -> None:
        """End the connection at once."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        who = self.peer.hello.pod if self.peer else transport.get_extra_info("peername")
        log.info("report connection of %s cut: %s", who, why)
        self._ingest.tally["cut"] += 1
        transport.abort()

    def _take_frames(self, data: bytes) -> None:
        position, size = 0, len(data)
        self._needed = 0
        while size - position >= PREFIX_BYTES:
            (length,) = _length_at(data, position)
            if length > self._frame_limit:
                self.cut(f"a frame of {length} bytes")
                return
            end = position + PREFIX_BYTES + length
            if end > size:
                self._needed = end - position
                break
            if not self._may_take_one():
                break
            if length and not self._take(data[position + PREFIX_BYTES : end]):
                return
            position = end
        self._buffer = data[position:]

    def _may_take_one(self) -> bool:
        """Count a frame; at the limit stop reading until the next second, so that TCP slows the peer down."""
        second = int(self.heard_at)
        if second != self._second:
            self._second, self._frames = second, 0
        self._frames += 1
        if self._frames <= self._rate_limit:
            return True
        if self._transport is not None:
            self._transport.pause_reading()
            self._ingest.tally["slowed"] += 1
            asyncio.get_running_loop().call_later(1.0, self._resume)
        return False

    def _resume(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.heard_at = self._ingest.clock()
        self._frames = 0
        self._transport.resume_reading()
        self._take_frames(self._buffer)

    def _take(self, body: bytes) -> bool:
        try:
            message = reports.decode(body)
        except (msgspec.DecodeError, RecursionError):
            self.cut("a frame that is not a report")
            return False
        if self.peer is None:
            return self._greet(message)
        if not self._ingest.take(self.peer, message):
            self.cut("a frame that may not come now")
            return False
        return True

    def _greet(self, message: reports.Message) -> bool:
        problem = self._ingest.admit(self, message)
        if problem or self.peer is None:
            self.cut(problem)
            return False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        bounds = self._ingest.bounds
        if self.peer.key is not None:
            self._frame_limit, self._rate_limit = bounds.queueproxy_frame_bytes, bounds.queueproxy_frames_per_s
        else:
            self._frame_limit, self._rate_limit = bounds.activator_frame_bytes, bounds.activator_frames_per_s
        return True
