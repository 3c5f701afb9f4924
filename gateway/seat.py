"""A worker's tie to the process that started it: it tells where its admin pages are, and hears when to stop.

The tie is a socket pair; its end means "stop", whether the supervisor closed it or died. It knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import os
import socket

from tidegate.process import tasks

VARIABLE = "TIDEGATE_WORKER_SOCKET"
PHASE_VARIABLE = "TIDEGATE_WORKER_PHASE"
COUNT_VARIABLE = "TIDEGATE_WORKER_COUNT"
ADMIN_HOST = "127.0.0.1"


class Seat:
    """The worker's end. `tell` once the admin pages are served."""

    def __init__(self, descriptor: int, stopping: asyncio.Event) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._stopping = stopping
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Begin to listen for the end."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        tasks.spawn(self._wait_for_end(reader), "supervisor")

    def tell(self, admin_port: int) -> None:
        """Say where the admin pages of this worker are."""
        assert self._writer is not None
        self._writer.write(b"%d\n" % admin_port)

    async def _wait_for_end(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.read()
        finally:
            self._stopping.set()


def descriptor() -> int | None:
    """Return the descriptor this process was given as a worker, None when it is none."""
    text = os.environ.pop(VARIABLE, "")
    return int(text) if text else None


def phase() -> float:
    """Return where in a turn this worker's wheels begin, 0 when it is alone."""
    return float(os.environ.pop(PHASE_VARIABLE, "0"))


def count() -> int:
    """Return how many workers there are, 1 when this process is alone."""
    return int(os.environ.pop(COUNT_VARIABLE, "1"))
