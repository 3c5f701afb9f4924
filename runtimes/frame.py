"""One model server process: builds it from its settings, runs it, drains it. Every runtime's `__main__` calls `main`.

Start: models that are wanted are loaded before the port is opened, so an open port is a ready server. Stop: the HTTP
side drains, then gRPC, then the models are unloaded.
"""

from __future__ import annotations

from tidegate.process import start_clock  # first: it notes when the program's own imports begin

# isort: split

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtimes import contract, opening, payload_log
from runtimes.config import Config
from runtimes.http.messages import HttpLimits
from runtimes.http.routes import Routes
from runtimes.http.server import HttpServer
from runtimes.isolation import zygote_link
from runtimes.isolation.isolation import Isolation
from runtimes.repository.layout import LayoutError, ModelConfig
from runtimes.repository.slots import Control
from runtimes.repository.store import Repository
from runtimes.repository.swap_plan import SwapLimits
from runtimes.servable import Servable
from tidegate.contracts import wake
from tidegate.process import logs, run, settings, tasks

log = logging.getLogger(__name__)
_MIB = 1 << 20
WEIGH_EVERY_S = 5.0


class Frame:
    """A model server: repository, HTTP listener, and a gRPC listener where one is asked for."""

    def __init__(
        self, config: Config, target: Any = None, runtime: str = "", zygote: zygote_link.Handle | None = None
    ) -> None:
        self.config = config
        self.repository = _repository(config, runtime, Isolation(config, zygote))
        self._payloads = payload_log.of(config)
        routes = Routes(
            self.repository, config.body_limit_mib * _MIB, self._payloads.render if self._payloads else bytes
        )
        self.http = HttpServer(
            self._payloads.around(routes.handle) if self._payloads else routes.handle,
            HttpLimits(body_bytes=config.body_limit_mib * _MIB, drain_s=config.drain_s),
        )
        self.port = 0
        self.grpc_port = 0
        self._grpc: Any = None
        self._poller: asyncio.Task[None] | None = None
        self._weigher: asyncio.Task[None] | None = None
        self._target = target

    async def start(self) -> None:
        """Load what is wanted, then listen. Raises SettingsError for a model that cannot be served."""
        await self._load()
        if self._payloads is not None:
            self._payloads.start()
        if self.config.grpc_port:
            with start_clock.this().phase(wake.IMPORTS):
                from runtimes.grpc_server import GrpcServer

            self._grpc = GrpcServer(self.repository, self.config.body_limit_mib * _MIB)
            self.grpc_port = await self._grpc.start(self.config.host, max(self.config.grpc_port, 0))
        self.port = await self.http.start(self.config.host, self.config.port)
        start_clock.this().opened()
        self._weigher = tasks.spawn(self._weigh(), "weigh models")
        if self.config.poll_s:
            self._poller = tasks.spawn(self._poll(), "poll models")
        names = ", ".join(self.repository.entries) or "no model yet"
        log.info("serving %s on %s:%d", names, self.config.host, self.port)
        if self.grpc_port:
            log.info("gRPC on port %d", self.grpc_port)

    def is_busy(self) -> bool:
        """Whether a request is inside a model."""
        return any(slot.servable is not None and slot.servable.pending for slot in self.repository.slots())

    async def close(self) -> None:
        """Drain and unload."""
        await tasks.cancel(self._poller, self._weigher)
        await self.http.close()
        if self._grpc is not None:
            await self._grpc.close(self.config.drain_s)
        await self.repository.close()
        if self._payloads is not None:
            await self._payloads.close()

    async def _load(self) -> None:
        config = self.config
        start_clock.this().enter(wake.WEIGHTS)
        if self._target is not None:
            self._add_object(self._target)
        elif config.model_class:
            self._add_object(_object_of(config))
        elif config.model_repository:
            self.repository.rescan()
        elif config.model_dir:
            try:
                self.repository.put_folder(Path(config.model_dir), config.model_name)
            except LayoutError as error:
                raise settings.SettingsError(str(error)) from error
        else:
            raise settings.SettingsError("no model: set model_dir, model_repository or model_class")
        if self.repository.control is Control.ALL:
            await self.repository.load_wanted()

    def _add_object(self, target: Any) -> None:
        try:
            model = contract.wrap(target)
            model.load()
            chosen = contract.settings_of(target, self.config.batching())
        except contract.ContractError as error:
            raise settings.SettingsError(str(error)) from error
        self.repository.add(Servable(self.config.model_name, "1", model, chosen))

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(WEIGH_EVERY_S)
            await self.repository.weigh()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.config.poll_s)
            self.repository.rescan()
            if self.repository.control is Control.ALL:
                await self.repository.load_wanted()


def _object_of(config: Config) -> Any:
    """Return an instance of the class that the settings name; raises SettingsError that says what is wrong with it."""
    from runtimes.python.runtime import ImportFailed, import_class, made_of

    try:
        made = made_of(import_class(config.model_class), Path(config.model_dir or "."))
    except ImportFailed as error:
        raise settings.SettingsError(str(error)) from error
    if config.predictor_host and not callable(getattr(made, "predict", None)):
        return _transformer(made, config)
    return made


def _transformer(target: Any, config: Config) -> Any:
    from runtimes.python.remote import Predictor, Transformer

    try:
        predictor = Predictor(
            config.predictor_host,
            config.model_name,
            config.predictor_protocol,
            config.predictor_timeout_s,
        )
    except ValueError as error:
        raise settings.SettingsError(str(error)) from error
    return Transformer(target, predictor)


def _repository(config: Config, runtime: str, isolation: Isolation) -> Repository:
    budget = config.memory_budget_mib * _MIB
    limits = SwapLimits(
        budget_bytes=budget or float("inf"),
        min_residency_s=config.min_residency_s,
        max_wait_s=config.max_swap_wait_s,
    )

    return Repository(
        lambda folder, model: opening.open_model(folder, model, config),
        isolation=isolation,
        complete=functools.partial(_completed, config, runtime),
        root=Path(config.model_repository) if config.model_repository else None,
        control=Control(config.model_control),
        limits=limits,
    )


def _completed(config: Config, runtime: str, model: ModelConfig) -> ModelConfig:
    """Return a model's configuration with what the server's says for all of its models."""
    if runtime and not model.runtime and not config.model_repository:
        model = dataclasses.replace(model, runtime=runtime)
    return dataclasses.replace(model, batching={**model.batching, **config.batching()})


def main(program: str, runtime: str = "", target: Any = None, argv: Sequence[str] | None = None) -> None:
    """Run a model server until SIGTERM: of `target`, or of the models that the settings name."""
    try:
        config = settings.load(Config, program=program, argv=argv)
    except settings.SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    logs.configure(program, config.log_level)
    # Now, before this process has threads: workers are forked from what is imported here.
    zygote = zygote_link.fork_zygote() if config.isolate else None
    frame = Frame(config, target, runtime, zygote)

    async def serve(stopping: asyncio.Event) -> None:
        await frame.start()
        settling = tasks.spawn(run.settle_start_up(frame.is_busy, is_forked=start_clock.this().is_forked), "settle")
        await stopping.wait()
        await tasks.cancel(settling)
        await frame.close()

    run.run(serve)
