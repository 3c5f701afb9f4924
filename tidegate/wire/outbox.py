"""Heads and answers of one turn of the loop, written one behind the other at its end.

Written at once, each would wake a peer that has gone to sleep since the one before, which costs the sender more than
the rest of the system call; and the code that reads would be pushed out of the processor's cache by the kernel's.
Whatever is written to a client or closes it otherwise calls `flush` first, so the order of bytes never changes.
"""

from __future__ import annotations

import asyncio
from typing import Final

WORTH_IT: Final = 4
"""From so many requests in flight on there is likely another write to wait for."""


class Outbox:
    """Writes that wait for the end of this turn of the loop."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write `data` at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Write everything now. A transport that was closed meanwhile gets nothing."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                if not transport.is_closing():
                    transport.write(data)
