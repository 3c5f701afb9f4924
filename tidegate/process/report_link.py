"""The connection on which in-flight reports are pushed to the autoscaler: Hello, reports, heartbeats, and back again.

Used by queueproxy and activator. It never blocks the data path: a report is handed to the socket or, when there is no
connection or the peer does not read, dropped (the next one covers its own second). It reconnects for ever with growing,
jittered pauses. It does not know what is in a report.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from tidegate.contracts import report

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 1.0
CONNECT_TIMEOUT_S = 2.0
UNSENT_LIMIT_BYTES = 256 << 10

Address = tuple[str, int]


class ReportLink:
    """Keeps one connection to the autoscaler while `run` runs.

    `address` and `hello` are asked before every connect: the autoscaler may move and the key may change; None means
    "not known yet". `on_connected` may be set; it is called after each Hello was written.
    """

    def __init__(
        self,
        address: Callable[[], Address | None],
        hello: Callable[[], report.Hello | None],
    ) -> None:
        self._address = address
        self._hello = hello
        self.on_connected: Callable[[], None] = lambda: None
        self._writer: asyncio.StreamWriter | None = None
        self._wake = asyncio.Event()
        self._last_sent = 0.0
        self.dropped = 0

    @property
    def is_connected(self) -> bool:
        """Whether reports go out now."""
        return self._writer is not None

    def send(self, message: report.Message) -> bool:
        """Push one report; returns False when it was dropped."""
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

    async def run(self) -> None:
        """Stay connected until cancelled."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            if await self._one_connection():
                backoff_s = FIRST_BACKOFF_S
            self._wake.clear()
            try:
                # The jitter keeps a thousand pods from calling a restarted autoscaler in the same instant.
                async with asyncio.timeout(backoff_s * random.uniform(0.5, 1.5)):
                    await self._wake.wait()
            except TimeoutError:
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def _one_connection(self) -> bool:
        address, hello = self._address(), self._hello()
        if address is None or hello is None:
            return False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError) as error:
            log.debug("autoscaler %s:%s: %r", *address, error)
            return False
        self._writer = writer
        try:
            self.send(hello)
            self.on_connected()
            await self._hold(reader, writer)
        finally:
            self._writer = None
            writer.close()
        return True

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            quiet_s = loop.time() - self._last_sent
            if quiet_s >= report.HEARTBEAT_S:
                writer.write(report.HEARTBEAT)
                self._last_sent, quiet_s = loop.time(), 0.0
            try:
                async with asyncio.timeout(report.HEARTBEAT_S - quiet_s):
                    if not await reader.read(1024):  # the autoscaler says nothing; this notices its end
                        return
            except TimeoutError:
                continue
            except OSError:
                return
