"""A sink of CloudEvents over HTTP that can be held back or made to refuse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web


class EventSink:
    """A receiver of events; `gate` holds it back, `status` is what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.status = 202
        self.url = ""
        self.has_come = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.gate.wait()
        async with self.has_come:
            self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
            self.has_come.notify_all()
        return web.Response(status=self.status)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60), self.has_come:
            await self.has_come.wait_for(lambda: len(self.got) >= count)


@contextlib.asynccontextmanager
async def event_sink() -> AsyncIterator[EventSink]:
    """Run one on a free port of loopback."""
    made = EventSink()
    app = web.Application()
    app.router.add_post("/events", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    try:
        yield made
    finally:
        made.gate.set()
        await runner.cleanup()
