"""`python -m runtimes.triton --model-dir DIR` (or --model-repository DIR): serve models by Triton.

The only module of the package that constructs. Start: the repository is prepared, Triton started, the wanted models
loaded, then the port is opened, so that an open port is a ready server. When Triton ends, this process ends with an
error and is started again by whoever supervises it. Stop: requests end, then Triton.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from runtimes.repository.swap_plan import SwapLimits
from runtimes.triton import locate
from runtimes.triton.config import Config
from runtimes.triton.layout import Layout, LayoutError
from runtimes.triton.metrics import ResidencyMetrics, page
from runtimes.triton.pipeline import Pipeline
from runtimes.triton.process import EXIT_TIMEOUT_S, HOST, Triton
from runtimes.triton.repository_api import LoadFailed, RepositoryApi
from runtimes.triton.residency import Residency
from tidegate.process import logs, run, settings, tasks
from tidegate.process.admin import AdminServer
from tidegate.process.settings import SettingsError
from tidegate.wire.engine_metrics import EngineMetrics
from tidegate.wire.limits import BETWEEN_HOPS, ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server

log = logging.getLogger("runtimes.triton")

PROGRAM = "python -m runtimes.triton"
LOADS_AT_A_TIME = 4
"""Triton's own number of loading threads."""
KILL_MARGIN_S = 5.0


class Adapter:
    """Triton and what stands in front of it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        found = locate.find(config.tritonserver, os.environ)
        log.info("tritonserver is %s; backends: %s", found.executable, ", ".join(found.backends) or "none")
        self.triton = Triton(config, found, dict(os.environ))
        self.layout = Layout(
            Path(config.model_dir or config.model_repository).absolute(),
            self.triton.repository,
            found.backends,
            model_name=config.model_name,
            is_repository=bool(config.model_repository),
            allow_code=config.allow_code,
        )
        limits = SwapLimits(
            budget_bytes=config.max_loaded_models or float("inf"),
            min_residency_s=config.min_residency_s,
            max_wait_s=config.max_swap_wait_s,
            max_waiting=config.max_waiting,
        )
        self.residency = Residency(self._load, self._unload, limits, asyncio.get_running_loop().time)
        self.port = 0
        self._registry = CollectorRegistry()
        self._api: RepositoryApi | None = None
        self._admin = AdminServer(config=settings.describe(config), registry=self._registry)
        self._pool = Pool()
        self._server: Server | None = None

    async def serve(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set; raises SystemExit when Triton ends before, SettingsError if it cannot serve."""
        stop = tasks.spawn(stopping.wait(), "stop")
        starting = tasks.spawn(self._start(), "start")
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                await self._drain()
                return
            starting.result()
            run.freeze_start_up()
            ended = self.triton.ended
            assert ended is not None
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                log.error("tritonserver ended with %d; this process ends too, to be started again", ended.result())
                raise SystemExit(1)
            await self._drain()
        finally:
            await tasks.cancel(starting, stop)
            await self._close()

    async def _start(self) -> None:
        names = self.layout.names()
        is_complete = self._prepare(names)
        triton = self.triton
        starting = tasks.spawn(triton.start(completes=not is_complete), "start tritonserver")
        try:
            await triton.spawned.wait()
            import tritonclient.http.aio  # noqa: F401 -- takes long; Triton needs the time anyway
        finally:
            await starting
        api = self._api = RepositoryApi(triton.http_port, triton.metrics_port, triton.key, self.config.load_timeout_s)
        if self.config.model_control == "all":
            await self._load_all(names)
        self._admin.page("/metrics", lambda _path, _query: page(self._registry, lambda: api))
        admin_port = await self._admin.start(HOST, self.config.metrics_port)
        pipeline = Pipeline(self.config, triton, self.layout, self.residency, admin_port, self._refresh)
        self._server = server = Server(pipeline, self._pool, timers=ServerTimers(**BETWEEN_HOPS))
        EngineMetrics("tidegate_triton", self._registry, lambda: (server.counters,), self._pool)
        ResidencyMetrics(self.residency, self._registry)
        await server.start(self.config.host, self.config.port)
        self.port = server.port
        log.info("serving %s on %s:%d, REST and gRPC", ", ".join(names) or "no model yet", self.config.host, self.port)
        log.info("metrics on %s:%d", HOST, admin_port)

    def _prepare(self, names: list[str]) -> bool:
        """Prepare the models that are there; whether Triton need not complete their configurations."""
        complete = True
        for name in names:
            try:
                complete = self.layout.prepare(name).is_complete and complete
            except LayoutError as error:
                if self.config.model_control == "all":
                    raise SettingsError(str(error)) from error
                log.warning("%s", error)
        # Of models that come later nothing is known: then Triton may have to ask them.
        return complete and bool(names) and not self.config.model_repository

    async def _load_all(self, names: list[str]) -> None:
        room = asyncio.Semaphore(LOADS_AT_A_TIME)

        async def load(name: str) -> None:
            async with room:
                began = asyncio.get_running_loop().time()
                await self._load(name)
                log.info("model %s was loaded in %.0f ms", name, (asyncio.get_running_loop().time() - began) * 1e3)

        done = await asyncio.gather(*map(load, names), return_exceptions=True)
        for error in done:
            if isinstance(error, LoadFailed):
                raise SettingsError(str(error)) from error
            if error is not None:
                raise error
        await self._refresh()

    async def _load(self, name: str) -> None:
        try:
            self.layout.prepare(name)
        except LayoutError as error:
            raise LoadFailed(str(error)) from error
        await self._asked().load(name)

    async def _unload(self, name: str) -> None:
        await self._asked().unload(name)

    async def _refresh(self) -> None:
        self.residency.is_now(await self._asked().ready())

    def _asked(self) -> RepositoryApi:
        assert self._api is not None
        return self._api

    async def _drain(self) -> None:
        if self._server is not None:
            await self._server.drain(self.config.drain_s)

    async def _close(self) -> None:
        self.residency.close()
        if self._server is not None:
            await self._server.close()
        await self._pool.close()
        await self._admin.close()
        if self._api is not None:
            await self._api.close()
        await self.triton.stop(EXIT_TIMEOUT_S + KILL_MARGIN_S)
        self.triton.remove()


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM, or until Triton ends."""
    try:
        config = settings.load(Config, program=PROGRAM, argv=argv)
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    logs.configure("triton", config.log_level)

    async def serve(stopping: asyncio.Event) -> None:
        await Adapter(config).serve(stopping)

    run.run(serve)


if __name__ == "__main__":
    main()
