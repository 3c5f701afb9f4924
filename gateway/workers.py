"""Several gateway processes on one port: starts them, starts them again when they end, and speaks for all of them.

The kernel spreads connections over the workers (SO_REUSEPORT); each has snapshots, pools and counts of its own. This
process serves no requests: it has the admin pages, whose totals are the workers' taken together.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gateway import seat, totals, wakes
from gateway.config import Config
from tidegate.process import settings, tasks
from tidegate.process.admin import AdminServer, Page, json_page

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
PAGE_TIMEOUT_S = 2.0
PAGE_LIMIT_BYTES = 64 << 20
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
WELL_AFTER_S = 10.0
"""A worker that lived this long is started again at once."""
KILL_AFTER_S = 5.0
"""Seconds beyond the workers' own drain."""


@dataclass(eq=False)
class _Worker:
    number: int
    process: asyncio.subprocess.Process
    tie: asyncio.StreamWriter
    admin_port: int = 0
    reading: asyncio.Task[None] | None = field(default=None, repr=False)


class Workers:
    """Keeps `config.workers` processes of `command` running."""

    def __init__(self, config: Config, command: Sequence[str]) -> None:
        self._config = config
        self._command = command
        self._living: dict[int, _Worker] = {}
        self._started = 0
        self._ending = asyncio.Event()
        self._totals = totals.Totals()
        self._registry = CollectorRegistry()
        self._registry.register(self._totals)
        shown = Gauge("tidegate_gateway_workers", "Worker processes that run.", registry=self._registry)
        shown.set_function(lambda: len(self._living))

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set and the workers have drained."""
        admin = await self._start_admin()
        keepers = [tasks.spawn(self._keep(slot), f"worker {slot}") for slot in range(self._config.workers)]
        looking = tasks.spawn(self._look_again(), "look at the workers")
        try:
            await stopping.wait()
        finally:
            await self._stop(keepers)
            await tasks.cancel(looking)
            await admin.close()

    async def pages(self, path: str) -> list[bytes]:
        """Return a page of every worker that answers with 200."""
        return [body for _, body in await self._ask(path)]

    async def _keep(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while not self._ending.is_set():
            began = loop.time()
            worker = await self._start(slot)
            code = await worker.process.wait()
            self._forget(worker)
            if self._ending.is_set():
                return
            pause_s = FIRST_PAUSE_S if loop.time() - began > WELL_AFTER_S else min(pause_s * 2, LAST_PAUSE_S)
            log.error("worker %d ended with %s; another one starts in %.1f s", worker.process.pid, code, pause_s)
            await asyncio.sleep(pause_s)

    async def _start(self, slot: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, seat.VARIABLE: str(theirs.fileno())}
            environment[seat.PHASE_VARIABLE] = str(slot / self._config.workers)
            environment[seat.COUNT_VARIABLE] = str(self._config.workers)
            process = await asyncio.create_subprocess_exec(*self._command, env=environment, pass_fds=(theirs.fileno(),))
        reader, tie = await asyncio.open_connection(sock=ours)
        self._started += 1
        worker = _Worker(self._started, process, tie)
        worker.reading = tasks.spawn(self._read_port(worker, reader), "admin port of a worker")
        self._living[worker.number] = worker
        if self._ending.is_set():
            tie.close()
        return worker

    async def _read_port(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        line = await reader.readline()
        if line:
            worker.admin_port = int(line)

    def _forget(self, worker: _Worker) -> None:
        del self._living[worker.number]
        self._totals.gone(worker.number)
        worker.tie.close()

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        self._ending.set()
        for worker in self._living.values():
            worker.tie.close()
        limit_s = self._config.drain_quiet_s + self._config.drain_timeout_s + KILL_AFTER_S
        # Those that wait for their next start have nothing to drain.
        ended = tasks.spawn(self._all_ended(), "workers end")
        await asyncio.wait([ended], timeout=limit_s)
        for worker in list(self._living.values()):
            log.error("worker %d did not end in time", worker.process.pid)
            worker.process.kill()
        await tasks.cancel(ended, *keepers)

    async def _all_ended(self) -> None:
        while self._living:
            await asyncio.gather(*(worker.process.wait() for worker in self._living.values()))
            await asyncio.sleep(0)

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        """Take over the metrics of all workers; one that does not answer counts as it was."""
        for worker, body in await self._ask("/metrics"):
            if worker.number in self._living:
                self._totals.seen(worker.number, body.decode())

    async def _ask(self, path: str) -> list[tuple[_Worker, bytes]]:
        workers = [worker for worker in self._living.values() if worker.admin_port]
        bodies = await asyncio.gather(*(_page(worker.admin_port, path) for worker in workers))
        return [(worker, body) for worker, body in zip(workers, bodies, strict=True) if body is not None]

    async def _start_admin(self) -> AdminServer:
        admin = AdminServer(config=settings.describe(self._config))

        async def readiness(_path: str, _query: dict[str, str]) -> Page:
            if self._ending.is_set():
                return Page(503, b"shutting down\n")
            return Page(200, b"ok\n") if await self.pages("/readyz") else Page(503, b"no worker is ready\n")

        async def metrics(_path: str, _query: dict[str, str]) -> Page:
            await self._look()
            return Page(200, generate_latest(self._registry), "text/plain; version=0.0.4; charset=utf-8")

        async def last_wakes(_path: str, _query: dict[str, str]) -> Page:
            found: list[list[dict[str, Any]]] = [msgspec.json.decode(body) for body in await self.pages("/wakes")]
            return json_page(totals.newest(found, wakes.KEPT))

        async def routes(path: str, _query: dict[str, str]) -> Page:
            found = await self.pages(f"/routes/{path}".rstrip("/"))
            return Page(200, found[0], "application/json") if found else Page(503, b"no worker answers\n")

        for prefix, handler in (
            ("/readyz", readiness),
            ("/metrics", metrics),
            ("/wakes", last_wakes),
            ("/routes", routes),
        ):
            admin.page(prefix, handler)
        for port in (self._config.admin_port, self._config.metrics_port):
            await admin.start(self._config.pod_ip, port)
        return admin


async def _page(port: int, path: str) -> bytes | None:
    """Return the body of a worker's admin page; None unless it is answered with 200 in time."""
    try:
        async with asyncio.timeout(PAGE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(seat.ADMIN_HOST, port)
            try:
                writer.write(b"GET %b HTTP/1.1\r\nHost: worker\r\n\r\n" % path.encode())
                answer = await reader.read(PAGE_LIMIT_BYTES)
                while more := await reader.read(PAGE_LIMIT_BYTES):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.split(b" ")[1:2] == [b"200"] else None
