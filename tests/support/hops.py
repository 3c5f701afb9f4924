"""Real sockets for tests of gateway, activator and queueproxy: an app, hops in this process, a client, free ports."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import itertools
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tidegate.process import run, tasks

Serve = Callable[[asyncio.Event], Awaitable[None]]


START_TIMEOUT_S = 30.0
_PORTS = range(20_000, 32_000)
"""Below those that the kernel uses for outgoing connections."""


def free_port() -> int:
    """Return a port that nobody listens on. No other call gets it, here or in another test worker, for thousands."""
    for port in _turns:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the turns have no end")


def _shuffled() -> list[int]:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % workers
    ours = list(_PORTS[worker::workers])
    random.SystemRandom().shuffle(ours)  # hypothesis seeds the other one
    return ours


_turns = itertools.cycle(_shuffled())


class App:
    """A user's app: answers its name after `?ms=` milliseconds, `?held` after `release`, and remembers what it saw."""

    def __init__(self, name: str = "app", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.name = name
        self.headers = tuple(headers)  # of its answers
        self.port = 0
        self.in_flight = 0
        self.peak = 0
        self.heads: list[dict[str, str]] = []
        self.next_tick = asyncio.Event()
        self.open = asyncio.Event()  # requests are held until it is set
        self.open.set()
        self.release = asyncio.Event()

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        async for message in connection:
            await connection.send_str(message.data)
        return connection

    async def _tick(self, request: web.Request) -> web.StreamResponse:
        """Three events; each waits until `next_tick` is set."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await self.next_tick.wait()
            self.next_tick.clear()
            await response.write(f"data: {number}\n\n".encode())
        return response

    async def _handle(self, request: web.Request) -> web.Response:
        self.heads.append({name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers})
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(int(request.query.get("ms", "0")) / 1000)
            await self.open.wait()
            if "held" in request.query:
                await self.release.wait()
            body = self.name if request.method == "GET" else str(len(await request.read()))
            return web.Response(text=body, headers=CIMultiDict(self.headers))
        finally:
            self.in_flight -= 1

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[App]:
        """Listen on 127.0.0.1."""
        application = web.Application(client_max_size=1 << 26, handler_args={"handler_cancellation": True})
        application.router.add_get("/socket", self._echo)
        application.router.add_get("/ticks", self._tick)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]
        try:
            yield self
        finally:
            await runner.cleanup()


_FREEZE = run.freeze_start_up
_running: list[None] = []
_started: contextvars.ContextVar[asyncio.Event | None] = contextvars.ContextVar("started", default=None)
"""In the task of a hop: set when its start-up is over."""


class Hop(NamedTuple):
    """A running hop: set `stopping` for SIGTERM; `task` ends when its drain is over."""

    port: int
    stopping: asyncio.Event
    task: asyncio.Task[None]


@contextlib.asynccontextmanager
async def running(serve: Serve, port: int, *, freezes: bool = True, admin: int = 0) -> AsyncIterator[Hop]:
    """Run a component's `serve` in this process until the block ends.

    The block begins when all of its ports listen: that one, and then `freeze_start_up` was called, which every
    component does last. A `serve` that never calls it says so: `freezes=False`. With the port of its `admin` pages it
    begins when they call the component ready: an activator listens before its first lists are read.
    """
    stopping, started = asyncio.Event(), asyncio.Event()
    with _unfrozen():
        outer = _started.set(started)
        task = tasks.spawn(_await(serve(stopping)), "hop")
        _started.reset(outer)
        try:
            await listening(port, task)
            if freezes:
                await _start_up_over(started, task)
            if admin:
                await _ready(admin)
            yield Hop(port, stopping, task)
        finally:
            stopping.set()
            await asyncio.wait([task], timeout=60)
            await tasks.cancel(task)


@contextlib.contextmanager
def _unfrozen() -> Iterator[None]:
    """Freezing is for processes, not for a test run. Hops begin and end in any order: the last one out puts it back."""
    _running.append(None)
    run.freeze_start_up = _tell
    try:
        yield
    finally:
        _running.pop()
        if not _running:
            run.freeze_start_up = _FREEZE


def _tell() -> None:
    started = _started.get()
    if started is not None:
        started.set()


async def _start_up_over(started: asyncio.Event, task: asyncio.Task[None]) -> None:
    waiting = tasks.spawn(started.wait(), "start-up of a hop")
    try:
        await asyncio.wait([waiting, task], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert started.is_set(), "the start-up is not over"
    finally:
        await tasks.cancel(waiting)


async def _ready(admin_port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        status = b""
        while status != b"200":
            reader, writer = await asyncio.open_connection("127.0.0.1", admin_port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            status = (await reader.read()).split()[1]
            writer.close()


async def listening(port: int, task: asyncio.Task[None] | None = None) -> None:
    """Return when 127.0.0.1:port accepts connections."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if task is not None and task.done():
                    task.result()
                await asyncio.sleep(0.005)
            else:
                writer.close()
                return


class Reply(NamedTuple):
    """An answer as a client sees it; header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str]
    lines: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        """Return the values of every line of this lower-case name, in order."""
        return [value for key, value in self.lines if key == name]

    @property
    def reason(self) -> str:
        """The value of X-Tidegate-Reason."""
        return self.headers.get("x-tidegate-reason", "")


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    """Give a function `fetch(port, path="/", host=None, method="GET", data=None, **headers)`."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:

        async def fetch(
            port: int, path: str = "/", *, host: str = "", method: str = "GET", data: bytes | None = None, **named: str
        ) -> Reply:
            headers = {name.replace("_", "-"): value for name, value in named.items()}
            if host:
                headers["Host"] = host
            url = f"http://127.0.0.1:{port}{path}"
            async with session.request(method, url, headers=headers, data=data and io.BytesIO(data)) as response:
                body = await response.read()
                lines = tuple((name.lower(), value) for name, value in response.headers.items())
                return Reply(response.status, body, dict(lines), lines)

        yield fetch


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable
