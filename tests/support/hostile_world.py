"""Gateway, activator and queueproxy as real servers before a recording upstream, for rows of hostile traffic.

A world lives through many rows. After each it must be as it was before the first: no slot, count, task, descriptor,
timer or connection is left but the upstream connections that wait for their next request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, NamedTuple, cast

import uvloop

import activator.__main__ as activator_main
import gateway.__main__ as gateway_main
import queueproxy.__main__ as queueproxy_main
from activator.config import Config as ActivatorConfig
from gateway.config import Config as GatewayConfig
from queueproxy.config import Config as QueueproxyConfig
from tests.support import descriptors
from tests.support.authority import Authority
from tests.support.engine_clock import EngineClock
from tests.support.fake_api import FakeApi
from tests.support.hops import free_port, running
from tests.support.hostile_upstream import Recorder
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route, put_system_tls
from tidegate.contracts import internal_tls
from tidegate.wire.client_side import ClientConnection
from tidegate.wire.exchange import Exchange
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server
from tidegate.wire.server_identity import ServerIdentity
from tidegate.wire.tunnel import Tunnel
from tidegate.wire.upstream_side import UpstreamConnection

REVISION = "app"
HOST = b"app.default.svc"
"""The gateway has a route for it, the activator reads the revision from it, queueproxy takes any."""
PATIENCE_S = 30.0

STILL_TURNS = 25
"""Turns of the event loop without anything: whatever was under way between the sockets of a world has arrived."""
STEP_S = 6.0
"""In such steps time is let pass: small beside the timers of rows, large beside what a busy machine adds."""

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
clients: set[asyncio.Transport] = set()
"""The clients' connections that are open."""
DIRECTORS = ("queueproxy", "activator", "gateway")


class Tls(NamedTuple):
    """How clients of a gateway speak TLS: its certificate's files, and the context of a client that trusts it."""

    certificate_file: str
    key_file: str
    client: ssl.SSLContext


class World:
    """One director on one event loop, with its upstream."""

    def __init__(self, director: str, loop: str, tls: Tls | None = None, inside: Authority | None = None) -> None:
        self.director = director
        self.loop = loop
        self.tls = tls
        self.inside = inside
        """Who signs the certificate of the upstream, where that speaks TLS."""
        self.recorder: Recorder
        self.port = 0
        self.servers: list[Server] = []
        self.limit = 1
        """Requests that the upstream may have at once: a slot that leaks is missed by the next row."""
        self._runner = asyncio.Runner(loop_factory=LOOPS[loop])
        self._stack = contextlib.AsyncExitStack()
        self._clock = EngineClock()
        self._descriptors: list[str] = []
        self._tasks: Counter[str] = Counter()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a row on this world's loop; one that fails does not spoil those behind it."""
        with self._clock.ruling():
            try:
                return self._runner.run(self._row(coroutine))
            except BaseException:
                self._runner.run(self._recover())
                raise

    async def _row(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._descriptors:
            self._measure()  # between two rows this loop stands still: what has changed is another test's
        return await coroutine

    async def passes(self, seconds: float) -> None:
        """Let time pass for the engine, step by step; whatever it does in each, and what was sent before, is done."""
        left_s = seconds
        while left_s > 0:
            await self.rests()
            self._clock.passed_s += min(left_s, STEP_S)
            left_s -= STEP_S
            deadlines = self.server.deadlines
            if deadlines._timer is not None:
                deadlines._timer.cancel()
                deadlines._tick()
        await self.rests()

    async def rests(self) -> None:
        """Return when nothing has moved for some turns of the loop."""
        still, before = 0, self._moved()
        while still < STILL_TURNS:
            await asyncio.sleep(0)
            still, before, last = still + 1, self._moved(), before
            if before != last:
                still = 0

    def _moved(self) -> tuple[int, ...]:
        """Numbers that change when something moves between clients, server and upstream."""
        counters = self.server.counters
        ends = (counters.connections, counters.connections_open, self.pool.open_count, self.recorder.open_count)
        sent = sum(client.get_write_buffer_size() for client in clients)
        came = sum(len(connection.raw) + len(connection.seen) for connection in self.recorder.connections)
        return (counters.bytes_in, counters.bytes_out, counters.requests, self.server.in_flight, sent, came, *ends)

    async def _recover(self) -> None:
        # Nobody else closes what the failed row has left open, and a client that reads nothing does not see the end.
        for client in list(clients):
            client.abort()
        for connection in [*self.recorder.connections, *(self.servers and self.server._connections)]:
            connection.transport.abort()
        await self.settled(is_first=True)
        self._measure()

    def open(self) -> World:
        self.run(self._open())
        return self

    def close(self) -> None:
        pool = self.pool
        try:
            self.run(self._stack.aclose())
            self.servers = []
            left = [type(found).__name__ for found in _of_the_engine() if _pool_of(found) is pool]
            assert left == []
        finally:
            self._runner.close()

    async def _open(self) -> None:
        self.recorder = Recorder()
        certificate = self.inside.issue(internal_tls.pod_name("default")) if self.inside else None
        await self.recorder.start(ServerIdentity(*certificate).context if certificate else None)
        self._stack.push_async_callback(self.recorder.stop)
        with _noting(self.servers):
            self.port = await self._stack.enter_async_context(HOPS[self.director](self))
        await self.settled(is_first=True)
        self._measure()

    def _measure(self) -> None:
        self._descriptors = descriptors.links()
        self._tasks = _tasks()

    @property
    def server(self) -> Server:
        return self.servers[0 if self.tls is None else 1]  # the gateway opens its plain port first

    @property
    def pool(self) -> Pool:
        return self.server.pool

    def left(self) -> dict[str, int]:
        """Return what is left of rows, by name; nothing when all is well."""
        pool, server, pipeline = self.pool, self.server, cast(Any, self.servers[0].director)
        idle_sessions = sum(not session.streams for session in pool.streams.sessions)
        found = {
            "requests in flight": server.in_flight,
            "client connections": server.counters.connections_open,
            "client connections listed": len(server._connections),
            "deadlines": len(server.deadlines),
            "upstream connections in use": pool.open_count - pool.idle_count - idle_sessions,
            "upstream's connections": self.recorder.open_count - pool.open_count,
        }
        if self.director == "queueproxy":
            limiter = pipeline._limiter
            found |= {"slots": limiter.running, "waiters": limiter.waiting, "meter": pipeline._meter.in_flight}
        elif self.director == "activator":
            placements = pipeline._placements.values()
            found |= {
                "waiters": pipeline.waiting,
                "seats": sum(placement.pods.in_flight for placement in placements),
                "timers of rooms": len(pipeline._timers),
            }
        else:
            watch = pipeline._watch
            groups = [backend.pods for backend in watch._backends.values()]
            found |= {
                "routed": pipeline.in_flight,
                "waiters": pipeline.waiting,
                "counts of pods": sum(group.in_flight for group in groups),
            }
        if self._descriptors:
            # What has come, not how many there are: other tests' leavings and a timer's short task may go at any time.
            came = Counter(descriptors.links()) - Counter(self._descriptors) - Counter(self._kept())
            found |= {"descriptors": came.total(), "tasks": (_tasks() - self._tasks).total()}
        return {name: count for name, count in found.items() if count}

    def _kept(self) -> list[str]:
        """Return the descriptors of upstream connections that wait for their next request, both ends."""
        pool = self.pool
        open_ones = [*pool._open, *pool.streams.sessions, *self.recorder.connections]
        return descriptors.links_of(one.transport for one in open_ones)

    async def settled(self, *, is_first: bool = False) -> None:
        """Wait until nothing is left of what was played; fails with what is."""
        until = time.monotonic() + PATIENCE_S
        while (left := self.left()) and time.monotonic() < until:
            await asyncio.sleep(0.001)
        assert left == {} or is_first, self._story(left)

    def _story(self, left: dict[str, int]) -> str:
        ours = f"upstream at {self.recorder.port}, {self.director} at {self.port}"
        changed = descriptors.difference(self._descriptors, descriptors.links())
        return f"{left}; {ours}; {changed}; tasks: {_tasks() - self._tasks}"


def _tasks() -> Counter[str]:
    """Count this loop's tasks by name, or by what they run where they have none."""
    found = ((task.get_name(), task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()})
    return Counter(getattr(run, "__qualname__", "") if name.startswith("Task-") else name for name, run in found)


def _of_the_engine() -> list[object]:
    gc.collect()
    kinds = (Exchange, ClientConnection, UpstreamConnection, Tunnel)
    # By type, not by isinstance: that asks strangers' objects for `__class__`, and some of torch's warn when asked.
    return [found for found in gc.get_objects() if issubclass(type(found), kinds)]


def _pool_of(found: Any) -> Pool:
    """Return the pool behind an object of the engine: which world it is of, for several live at a time."""
    if isinstance(found, UpstreamConnection):
        return found._pool
    if isinstance(found, Tunnel):
        return _pool_of(found._exchange)
    return found.server.pool if isinstance(found, ClientConnection) else found._server.pool


@contextlib.contextmanager
def _noting(servers: list[Server]) -> Iterator[None]:
    """Note every server that starts meanwhile: the components keep theirs to themselves."""
    start = Server.start

    async def noted(self: Server, *args: Any, **kwargs: Any) -> None:
        servers.append(self)
        await start(self, *args, **kwargs)

    Server.start = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Server.start = start  # type: ignore[method-assign]


Serving = Callable[[asyncio.Event], Awaitable[None]]


@contextlib.asynccontextmanager
async def _hop(serve: Serving, port: int, admin: int = 0) -> AsyncIterator[int]:
    async with running(serve, port, admin=admin):
        yield port


def _queueproxy(world: World) -> contextlib.AbstractAsyncContextManager[int]:
    port = free_port()
    config = QueueproxyConfig(
        serving_port=port,
        admin_port=free_port(),
        metrics_port=free_port(),
        user_port=world.recorder.port,
        container_concurrency=world.limit,
        drain_idle_s=0.0,
        log_level="error",
    )
    return _hop(lambda stopping: queueproxy_main.serve(config, stopping), port)


def _api(world: World) -> FakeApi:
    api = FakeApi()
    put_route(api, REVISION, [{"revisionName": REVISION, "percent": 100}], url=f"http://{HOST.decode()}")
    put_revision(api, REVISION, containerConcurrency=world.limit)
    put_autoscaler(api, REVISION, "Serve", concurrency=world.limit)
    tls_port = world.recorder.port if world.inside else 0
    put_pods(
        api, REVISION, [("127.0.0.1", True)], port=free_port() if tls_port else world.recorder.port, tls_port=tls_port
    )
    if world.inside is not None:
        put_system_tls(api, world.inside, "disabled")  # what the slices say is enough for pods
    return api


def _activator(world: World) -> contextlib.AbstractAsyncContextManager[int]:
    port, api = free_port(), _api(world)
    config = ActivatorConfig(serving_port=port, admin_port=free_port(), metrics_port=free_port(), drain_quiet_s=0.0)
    return _hop(lambda stopping: activator_main.serve(config, api, stopping), port, config.admin_port)


def _gateway(world: World) -> contextlib.AbstractAsyncContextManager[int]:
    port, api = free_port(), _api(world)
    plain_port, shown = port, {}
    if world.tls is not None:
        plain_port = free_port()
        files = {"tls_cert_file": world.tls.certificate_file, "tls_key_file": world.tls.key_file}
        shown = {"tls_listen": f"127.0.0.1:{port}", **files}
    config = GatewayConfig(
        listen=f"127.0.0.1:{plain_port}", admin_port=free_port(), metrics_port=free_port(), drain_quiet_s=0.0, **shown
    )
    return _hop(lambda stopping: gateway_main.serve(config, api, stopping), port)


HOPS: dict[str, Callable[[World], contextlib.AbstractAsyncContextManager[int]]] = {
    "queueproxy": _queueproxy,
    "activator": _activator,
    "gateway": _gateway,
}
