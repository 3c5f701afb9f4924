"""The report port: frames from queueproxies and activators become calls on Demand, and pokes become turns.

A connection proves itself first (Hello, within five seconds); a queueproxy may then speak for its own revision only.
Frames, rates and connections are bounded; who sends too fast is read more slowly, who breaks the format is cut off.
Nothing here decides anything. Reports carry durations, so arrival is the only time that counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgspec

from autoscaler.demand import Demand, Key
from tidegate.contracts import report as reports
from tidegate.contracts.report import Hello, Report, Reports

log = logging.getLogger(__name__)

QUEUEPROXY = "queueproxy"
ACTIVATOR = "activator"

PREFIX_BYTES = 4


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one peer may do: seconds to prove itself, frame sizes, frames per second, seconds of silence."""

    hello_s: float = 5.0
    hello_bytes: int = 4096
    queueproxy_frame_bytes: int = 4096
    activator_frame_bytes: int = reports.FRAME_LIMIT_BYTES
    queueproxy_frames_per_s: int = 100
    activator_frames_per_s: int = 20_000
    silence_s: float = 3 * reports.HEARTBEAT_S
    connections: int = 20_000


class Ingest:
    """The server. `key` gives the report key now (None: not known yet), `clock` the monotonic time in seconds,
    `on_poke` is called with the revision whose first request waits."""

    def __init__(
        self,
        demand: Demand,
        *,
        key: Callable[[], bytes | None],
        clock: Callable[[], float],
        on_poke: Callable[[Key], None],
        bounds: Bounds | None = None,
    ) -> None:
        self.demand = demand
        self.key = key
        self.clock = clock
        self.on_poke = on_poke
        self.bounds = bounds or Bounds()
        self.connections: set[Connection] = set()
        self.counts: Counter[str] = Counter()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.cut("the autoscaler is stopping")
        if self._server is not None:
            await self._server.wait_closed()

    def sweep(self, now: float) -> None:
        """Cut connections that have been silent too long."""
        for connection in list(self.connections):
            if now - connection.heard_at > self.bounds.silence_s:
                connection.cut("silent")


class Connection(asyncio.Protocol):
    """One peer, from its Hello to its end."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._hello: Hello | None = None
        self._frame_limit = ingest.bounds.hello_bytes
        self._rate_limit = ingest.bounds.queueproxy_frames_per_s
        self._keys: set[Key] = set()
        self._second = 0
        self._frames = 0
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
        self._ingest.demand.close(self, self._keys)

    def data_received(self, data: bytes) -> None:
        """Take whole frames; what is left waits for its rest."""
        self._buffer += data
        self.heard_at = self._ingest.clock()
        self._take_frames()

    def cut(self, why: str) -> None:
        """End the connection at once."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        peer = self._hello.pod if self._hello else transport.get_extra_info("peername")
        log.info("report connection of %s cut: %s", peer, why)
        self._ingest.counts["cut"] += 1
        transport.abort()

    def _take_frames(self) -> None:
        buffer, position = self._buffer, 0
        while len(buffer) - position >= PREFIX_BYTES:
            length = int.from_bytes(buffer[position : position + PREFIX_BYTES], "big")
            if length > self._frame_limit:
                self.cut(f"a frame of {length} bytes")
                return
            end = position + PREFIX_BYTES + length
            if end > len(buffer):
                break
            if not self._may_take_one():
                break
            body = bytes(buffer[position + PREFIX_BYTES : end])
            position = end
            if length and not self._take(body):
                return
        del buffer[:position]

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
            self._ingest.counts["slowed"] += 1
            asyncio.get_running_loop().call_later(1.0, self._resume)
        return False

    def _resume(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.heard_at = self._ingest.clock()
        self._frames = 0
        self._transport.resume_reading()
        self._take_frames()

    def _take(self, body: bytes) -> bool:
        try:
            message = reports.decode(body)
        except (msgspec.DecodeError, RecursionError):
            self.cut("a frame that is not a report")
            return False
        if self._hello is None:
            return self._greet(message)
        if isinstance(message, Report):
            self._report(self._hello, message)
        elif isinstance(message, Reports):
            for report in message.reports:
                self._report(self._hello, report)
        else:
            self.cut("a second hello")
            return False
        return True

    def _greet(self, message: reports.Message) -> bool:
        key = self._ingest.key()
        problem = _refusal(message, key)
        if problem or not isinstance(message, Hello):
            self._ingest.counts["refused"] += 1
            self.cut(problem)
            return False
        self._hello = message
        if self._deadline is not None:
            self._deadline.cancel()
        bounds = self._ingest.bounds
        if message.source == QUEUEPROXY:
            self._frame_limit, self._rate_limit = bounds.queueproxy_frame_bytes, bounds.queueproxy_frames_per_s
            self._keys.add((message.namespace, message.revision))
            self._ingest.demand.open(self, (message.namespace, message.revision), self._ingest.clock())
        else:
            self._frame_limit, self._rate_limit = bounds.activator_frame_bytes, bounds.activator_frames_per_s
        return True

    def _report(self, hello: Hello, report: Report) -> None:
        key = (report.namespace, report.revision)
        if hello.source == QUEUEPROXY and key not in self._keys:
            self._ingest.counts["foreign"] += 1
            return
        if not self._ingest.demand.report(self, report, self._ingest.clock()):
            self._ingest.counts["dropped"] += 1
            return
        self._keys.add(key)
        self._ingest.counts["taken"] += 1
        if report.is_first and hello.source == ACTIVATOR:
            self._ingest.on_poke(key)


def _refusal(message: reports.Message, key: bytes | None) -> str:
    """Return why the first message of a connection is not accepted; empty when it is."""
    if not isinstance(message, Hello):
        return "it did not begin with a hello"
    if key is None:
        return "the report key is not known yet"
    if message.source not in (QUEUEPROXY, ACTIVATOR):
        return "an unknown kind of source"
    if (message.source == ACTIVATOR) != (message.revision == reports.ANY_REVISION):
        return "a source that may not speak for this revision"
    return "" if reports.is_token_valid(key, message) else "a wrong token"
