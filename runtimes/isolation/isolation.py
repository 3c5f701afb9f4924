"""Opens models in worker processes, weighs the workers, counts why they ended.

Which models: all with a folder when `isolate` is set; a model's own setting (`isolate` in its parameters) wins. When a
worker ends is the repository's matter: it owns the model's state.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from runtimes import opening
from runtimes.batching import BatchSettings
from runtimes.config import Config
from runtimes.isolation import frames, process_memory
from runtimes.isolation.arena import Arena
from runtimes.isolation.process_memory import ProcessMemory
from runtimes.isolation.remote_model import RemoteModel
from runtimes.isolation.worker_link import End, RefusedByWorker, WorkerEnded, WorkerLink
from runtimes.isolation.zygote_link import CannotFork, Handle, Zygotes
from runtimes.repository import layout
from runtimes.repository.layout import ModelConfig

log = logging.getLogger(__name__)
_MIB = 1 << 20
_YES = ("true", "1", "yes")


class OpenFailed(Exception):
    """The model could not be opened in a worker; the message is the whole reason."""


class Isolation:
    """The workers of one server."""

    def __init__(self, config: Config, zygote: Handle | None = None) -> None:
        self.ended: Counter[tuple[str, str, str]] = Counter()
        """(model, version, word) of workers that ended though nobody asked them to"""
        self._config = config
        self._zygotes = Zygotes(zygote, config.log_level)

    def wants(self, model: ModelConfig) -> bool:
        """Whether this model gets a worker of its own."""
        own = model.options.get("isolate")
        return self._config.isolate if own is None else str(own).lower() in _YES

    async def open(
        self, folder: Path, model: ModelConfig, version: str, on_end: Callable[[str], None]
    ) -> tuple[RemoteModel, BatchSettings, ProcessMemory, float]:
        """Return the model, how it is batched, its worker's memory, and the bytes it takes; raises OpenFailed.

        `on_end(how)` hears when the worker ends though nobody asked it to.
        """
        config = self._config
        title = f"{model.name}/{version}"

        def ended(end: End) -> None:
            self.ended[model.name, version, end.word] += 1
            log.warning("the worker of model %s %s", title, end.text)
            on_end(end.text)

        try:
            link = await self._started(folder, model, title, ended)
        except (CannotFork, OSError, layout.LayoutError) as error:
            raise OpenFailed(f"{type(error).__name__}: {error}") from error
        try:
            opened = await link.open(frames.Open(str(folder), model, config), config.worker_start_s)
        except (RefusedByWorker, WorkerEnded) as error:
            await self._dropped(link)
            raise OpenFailed(str(error)) from error
        except TimeoutError:
            link.kill("start_timeout", "took too long to start")
            await self._dropped(link)
            text = f"its worker process did not load it within {config.worker_start_s:g} s (worker_start_s)"
            raise OpenFailed(text) from None
        except BaseException:
            link.kill("left", "has nobody who waits for it")
            raise
        memory = await asyncio.to_thread(process_memory.of, link.pid)
        made = RemoteModel(model.name, link, opened)
        return made, opened.settings, memory, made.size_bytes(memory)

    def close(self) -> None:
        """End all workers that are left."""
        self._zygotes.close()

    async def _started(self, folder: Path, model: ModelConfig, title: str, ended: Callable[[End], None]) -> WorkerLink:
        runtime, _ = layout.artefact(folder, model)
        arena = Arena(self._config.worker_arena_mib * _MIB)
        link = WorkerLink(arena, self._config.worker_call_limit_s, ended)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                module = opening.RUNTIMES.get(runtime, "")
                pid = await self._zygotes.fork(theirs, arena.descriptor, module, title, link.has_exited)
            link.has_process(pid)
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        except BaseException:
            ours.close()
            arena.close()
            raise
        return link

    async def _dropped(self, link: WorkerLink) -> None:
        await link.close()
