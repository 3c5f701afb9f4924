"""The listening socket of the model server: accepts connections, sweeps slow clients, drains.

Drain: no new connection, answers say `Connection: close`, idle connections are closed at once, the rest after their
answer, and after `drain_s` whatever is left.
"""

from __future__ import annotations

import asyncio
import socket

from runtimes.http.connection import Connection, Handler
from runtimes.http.messages import HttpLimits, Totals
from tidegate.process import tasks

_LIMITS = HttpLimits()
_SWEEP_S = 1.0


class HttpServer:
    """Answers HTTP/1.1 requests with `handler`."""

    def __init__(self, handler: Handler, limits: HttpLimits = _LIMITS) -> None:
        self.handler = handler
        self.limits = limits
        self.totals = Totals()
        self.is_draining = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (of use when `port` is 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        self._sweeper = tasks.spawn(self._sweep(), "sweep")
        listener: socket.socket = self._server.sockets[0]
        bound: int = listener.getsockname()[1]
        return bound

    async def close(self, drain_s: float | None = None) -> None:
        """Stop: let requests end for `drain_s` (default: of the limits), then close what is left."""
        if self._server is None:
            return
        self.is_draining = True
        self._server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.limits.drain_s if drain_s is None else drain_s)
        while self.connections and loop.time() < until:
            for connection in [each for each in self.connections if each.is_idle()]:
                connection.close()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.close()
        await tasks.cancel(self._sweeper)
        await self._server.wait_closed()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = loop.time()
            for connection in list(self.connections):
                connection.sweep(now)
