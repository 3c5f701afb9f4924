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
from tidegate.contracts import programmed
from tidegate.contracts.programmed import Versions
from tidegate.process import admin_client, settings, tasks
from tidegate.process.admin import AdminServer, Page, json_page

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
PAGE_TIMEOUT_S = 2.0
MISSES_LIMIT = 6
"""A worker that did not answer so many looks in a row is ended and replaced, as a kubelet does with a pod."""
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
    misses: int = 0
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

    async def programmed(self, wanted: Versions, wait_s: float) -> Versions | None:
        """Return what the tables of all workers have, None when one does not tell.

        A worker whose admin port is not known yet does not count: it has not begun to list Routes.
        """
        asked = [worker for worker in self._living.values() if worker.admin_port]
        bodies = dict(await self._ask(programmed.question(wanted, wait_s)))
        found = [programmed.read_answer(bodies.get(worker, b"")) for worker in asked if worker.number in self._living]
        told = [versions for versions in found if versions is not None]
        return programmed.common(told) if told and len(told) == len(found) else None

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
            asked = [worker for worker in self._living.values() if worker.admin_port]
            self._end_hung(asked, await self._look())

    def _end_hung(self, asked: list[_Worker], answered: set[int]) -> None:
        # Its share of new connections would wait in its queue for ever, and no Route could become Ready.
        for worker in asked:
            worker.misses = 0 if worker.number in answered else worker.misses + 1
            if worker.misses >= MISSES_LIMIT and worker.number in self._living:
                log.error(
                    "worker %d has not answered %d times in a row: it is ended", worker.process.pid, worker.misses
                )
                worker.process.kill()

    async def _look(self) -> set[int]:
        """Take over the metrics of all workers, one that does not answer counts as it was; return who answered."""
        found = await self._ask("/metrics")
        for worker, body in found:
            if worker.number in self._living:
                self._totals.seen(worker.number, body.decode())
        return {worker.number for worker, _ in found}

    async def _ask(self, path: str) -> list[tuple[_Worker, bytes]]:
        workers = [worker for worker in self._living.values() if worker.admin_port]
        pages = await asyncio.gather(
            *(admin_client.get(seat.ADMIN_HOST, worker.admin_port, path, PAGE_TIMEOUT_S) for worker in workers)
        )
        return [
            (worker, page.body)
            for worker, page in zip(workers, pages, strict=True)
            if page is not None and page.status == 200
        ]

    async def _programmed_page(self, _path: str, query: dict[str, str]) -> Page:
        try:
            wanted, wait_s = programmed.read_question(query)
        except ValueError as error:
            return Page(400, f"{error}\n".encode())
        versions = await self.programmed(wanted, wait_s)
        return Page(503, b"a worker does not tell\n") if versions is None else json_page(versions)

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
            (programmed.PATH, self._programmed_page),
            ("/readyz", readiness),
            ("/metrics", metrics),
            ("/wakes", last_wakes),
            ("/routes", routes),
        ):
            admin.page(prefix, handler)
        for port in (self._config.admin_port, self._config.metrics_port):
            await admin.start(self._config.pod_ip, port)
        return admin
