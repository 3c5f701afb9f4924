"""One agent: the listener, the payload log around everything, batches for what may share them, the rest passed on.

Its port opens when the server takes connections, so an open port is a ready pod; probes pass through to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from runtimes import payload_log
from runtimes.agent.batches import Batches
from runtimes.agent.config import Config
from runtimes.agent.proxy import Proxy
from runtimes.batch_plan import BatchLimits
from runtimes.http.connection import Handler
from runtimes.http.messages import HttpLimits, Reply, Request
from runtimes.http.server import HttpServer
from tidegate.process.settings import SettingsError

METRICS = "/agent/metrics"
LOOK_AGAIN_S = 0.02


class Agent:
    """An agent before the server on `user_port`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.port = 0
        limit_bytes = config.body_limit_mib << 20
        self._proxy = Proxy(config.user_port, config.server_timeout_s, limit_bytes)
        self._batches: Batches | None = None
        if config.max_batch_size:
            delay_s = config.max_batch_delay_ms / 1e3
            limits = BatchLimits(config.max_batch_size, delay_s, config.instances, config.max_queue_size)
            self._batches = Batches(limits, self._proxy.pass_on)
        self._payloads = payload_log.of(config)
        handler: Handler = self._payloads.around(self._handle) if self._payloads is not None else self._handle
        limits_of_http = HttpLimits(body_bytes=limit_bytes, drain_s=config.drain_s)
        self._server = HttpServer(lambda request: self._first(request, handler), limits_of_http)

    async def start(self) -> None:
        """Wait for the server, then listen; raises SettingsError when it does not come in time."""
        try:
            async with asyncio.timeout(self.config.server_start_s):
                await self._server_is_up()
        except TimeoutError:
            limit_s = self.config.server_start_s
            text = f"the model server on port {self.config.user_port} took no connection within {limit_s:g} s"
            raise SettingsError(text) from None
        if self._payloads is not None:
            self._payloads.start()
        self.port = await self._server.start(self.config.host, self.config.port)

    async def close(self) -> None:
        """Drain and stop."""
        await self._server.close()
        if self._batches is not None:
            self._batches.close()
        await self._proxy.close()
        if self._payloads is not None:
            await self._payloads.close()

    async def _server_is_up(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.config.user_port)
            except OSError:
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return

    def _first(self, request: Request, handler: Handler) -> Reply | Awaitable[Reply]:
        if request.path == METRICS:
            return Reply(200, self._metrics(), b"text/plain; version=0.0.4; charset=utf-8")
        return handler(request)

    async def _handle(self, request: Request) -> Reply:
        if self._batches is not None and (rows := self._batches.rows_of(request)) is not None:
            return await self._batches.answer(request, rows)
        return await self._proxy.pass_on(request)

    def _metrics(self) -> bytes:
        lines = []
        if self._batches is not None:
            counts = self._batches.statistics
            for name, meaning, value in (
                ("agent_batches_total", "Calls of the server for requests that share them", counts.executions),
                ("agent_batched_rows_total", "Rows in these calls", counts.inferences),
                ("agent_batch_refused_total", "Requests refused because the queue was full", counts.rejected),
            ):
                lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} counter", f"{name} {value}"]
        text = "".join(f"{line}\n" for line in lines).encode()
        return text + (self._payloads.render() if self._payloads is not None else b"")
