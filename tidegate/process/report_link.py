"""The connection on which in-flight reports are pushed to an autoscaler: Hello, reports, heartbeats, and back again.

Used by queueproxy and activator. It never blocks the data path: a report is handed to the socket or, when there is no
connection or the peer does not read, dropped (the next one covers its own second). It reconnects for ever with growing,
jittered pauses. It does not know what is in a report; what the autoscaler says is handed on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
from collections.abc import Callable

import msgspec

from tidegate.contracts import report
from tidegate.contracts.buckets import Address

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 1.0
UNACKNOWLEDGED_S = 5.0
"""What was sent and is not acknowledged for so long ends the connection: the machine at the other end is gone."""
CONNECT_TIMEOUT_S = 2.0
UNSENT_LIMIT_BYTES = 256 << 10
AVOID_S = 3.0
"""An owner that could not be reached is not gone back to for so long; its Lease may outlive it by seconds."""


class ReportLink:
    """Keeps one connection to an autoscaler while `run` runs.

    `address` and `hello` are asked before every connect: the autoscaler may move and the key may change; None means
    "not known yet". `on_connected` may be set; it is called after each Hello was written. `on_owners` may be set; it
    hears which replica decides for which revisions; `on_scaled` of a scale that was written.
    """

    def __init__(
        self,
        address: Callable[[], Address | None],
        hello: Callable[[], report.Hello | None],
    ) -> None:
        self._address = address
        self._hello = hello
        self.on_connected: Callable[[], None] = lambda: None
        self.on_owners: Callable[[report.Owners], None] = lambda _owners: None
        self.on_scaled: Callable[[report.Scaled], None] = lambda _scaled: None
        self._writer: asyncio.StreamWriter | None = None
        self._wake = asyncio.Event()
        self._last_sent = 0.0
        self._began_at = 0.0
        self._aim: Address | None = None
        self._at: Address | None = None
        self._avoid: tuple[Address, float] | None = None
        self._later: asyncio.TimerHandle | None = None
        self.dropped = 0
        self.peer_version = 0
        """What the autoscaler can read, as it says."""

    @property
    def is_connected(self) -> bool:
        """Whether reports go out now."""
        return self._writer is not None

    @property
    def session_s(self) -> float:
        """Seconds since this connection's Hello."""
        return max(1e-3, asyncio.get_running_loop().time() - self._began_at)

    def send(self, message: report.Message) -> bool:
        """Push one message; returns False when it was dropped."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > UNSENT_LIMIT_BYTES:
            self.dropped += 1
            return False
        writer.write(report.encode(message))
        self._last_sent = asyncio.get_running_loop().time()
        return True

    def retry_now(self) -> None:
        """Connect without waiting out the pause: the address or the key has changed."""
        self._wake.set()

    def move_to(self, address: Address) -> None:
        """Leave for another autoscaler, the one that decides; if it cannot be reached, `address()` is asked again.

        It does not go back within `AVOID_S` to where it was or could not connect: two autoscalers that each name the
        other would otherwise send it to and fro.
        """
        loop = asyncio.get_running_loop()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if address == self._at:
            return
        if self._avoid is not None and self._avoid[0] == address and loop.time() < self._avoid[1]:
            self._later = loop.call_at(self._avoid[1], self.move_to, address)
            return
        self._aim = address
        if self._writer is not None:
            self._writer.close()
        self.retry_now()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        try:
            await self._stay_connected()
        finally:
            if self._later is not None:
                self._later.cancel()

    async def _stay_connected(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            if await self._one_connection():
                backoff_s = FIRST_BACKOFF_S
            if self._aim is not None:
                continue
            self._wake.clear()
            try:
                # The jitter keeps a thousand pods from calling a restarted autoscaler in the same instant.
                async with asyncio.timeout(backoff_s * random.uniform(0.5, 1.5)):
                    await self._wake.wait()
            except TimeoutError:
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def _one_connection(self) -> bool:
        aim, self._aim = self._aim, None
        address, hello = aim or self._address(), self._hello()
        if address is None or hello is None:
            return False
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError) as error:
            log.debug("autoscaler %s:%s: %r", *address, error)
            self._avoid = (address, loop.time() + AVOID_S)
            return False
        _give_up_early(writer)
        self._writer, self._began_at, self._at = writer, loop.time(), address
        try:
            self.peer_version = 0
            self.send(msgspec.structs.replace(hello, session=secrets.token_hex(8), version=report.VERSION))
            self.on_connected()
            await self._hold(reader, writer)
        finally:
            self._writer = self._at = None
            writer.close()
            self._avoid = (address, loop.time() + AVOID_S)
        return True

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, heard = asyncio.get_running_loop(), b""
        while True:
            quiet_s = loop.time() - self._last_sent
            if quiet_s >= report.HEARTBEAT_S:
                writer.write(report.HEARTBEAT)
                self._last_sent, quiet_s = loop.time(), 0.0
            try:
                async with asyncio.timeout(report.HEARTBEAT_S - quiet_s):
                    data = await reader.read(report.ANSWER_LIMIT_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            try:
                heard = self._hear(heard + data)
            except (ValueError, msgspec.DecodeError) as error:
                log.warning("the autoscaler says what is not understood: %s", error)
                return

    def _hear(self, data: bytes) -> bytes:
        """Hand on whole frames; returns the beginning of one that is not whole yet."""
        while len(data) >= 4:
            length = int.from_bytes(data[:4], "big")
            if length > report.ANSWER_LIMIT_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            if len(data) < 4 + length:
                break
            body, data = data[4 : 4 + length], data[4 + length :]
            if body:
                said = report.decode_answer(body)
                if isinstance(said, report.Owners):
                    self.peer_version = said.version
                    self.on_owners(said)
                else:
                    self.on_scaled(said)
        return data


def _give_up_early(writer: asyncio.StreamWriter) -> None:
    """A machine that vanishes sends no end of connection, and TCP alone would try for a quarter of an hour."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    connection = writer.get_extra_info("socket")
    if option is not None and connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, int(UNACKNOWLEDGED_S * 1000))
