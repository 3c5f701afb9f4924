"""A model in a worker process, as the rest of the server sees a model: the same methods, most of them awaitable."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from runtimes.failures import InferenceError, Kind
from runtimes.isolation.frames import Answer, Opened
from runtimes.isolation.process_memory import ProcessMemory
from runtimes.isolation.worker_link import WorkerLink
from runtimes.tensors import Parameters, Tensor
from tidegate.process import tasks

HEALTH_EVERY_S = 1.0


class RemoteModel:
    """Stands for `contract.Model`. `name` goes into the errors, as the server words them for its own models."""

    is_async = True
    is_blocking = False

    def __init__(self, name: str, link: WorkerLink, opened: Opened) -> None:
        self.link = link
        self.target = None
        self.spec = opened.spec
        self.takes_json = opened.takes_json
        self.is_cancellable = opened.is_async
        self._name = name
        self._opened = opened
        self._is_healthy = True
        self._asked_at = 0.0

    def size_bytes(self, memory: ProcessMemory) -> float:
        """Return what the model takes: what ending its worker gives back, or what it says of its weights if more."""
        return max(float(memory.private), self._opened.declared_bytes, 1.0)

    def has(self, method: str) -> bool:
        """Whether the model has this optional method."""
        return method in self._opened.methods

    def is_healthy(self) -> bool:
        """Whether the worker lives and the model said so when it was asked last (a second ago at the most)."""
        now = time.monotonic()
        if self.has("health") and now >= self._asked_at + HEALTH_EVERY_S:
            self._asked_at = now
            tasks.spawn(self._ask_health(), "model health")
        return self._is_healthy and not self.link.is_gone.is_set()

    async def predict_async(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        """Run one inference in the worker."""
        return await self._tensors("predict", [inputs], parameters)

    async def explain(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the model's `explain`; raises UNSUPPORTED where there is none."""
        return await self._tensors("explain", [inputs])

    async def aggregate(self, listed: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Merge several models' outputs; raises UNSUPPORTED where the model cannot."""
        return await self._tensors("aggregate", listed)

    async def route(self, inputs: Sequence[Tensor]) -> int:
        """Return the number of the child to ask; raises UNSUPPORTED without `route`."""
        return int(await self._call("route", [inputs]))

    async def seldon_verb(self, verb: str, tensor: Tensor, document: Mapping[str, Any]) -> list[Tensor]:
        """Run one of Seldon's verbs but predict."""
        made = await self._call(verb if verb != "route" else "seldon-route", [[tensor]], {}, document=dict(document))
        return list(made)

    def seldon_meta(self) -> tuple[list[str], dict[str, Any]]:
        """Return column names and tags as the model gave them when it was loaded."""
        return self._opened.column_names, self._opened.meta

    async def generate(self, text: str, parameters: Parameters) -> Any:
        """Return the text that follows, or a generator of its pieces."""
        answer = await self._call("generate", (), parameters, text=text)
        return self._pieces(answer.number) if isinstance(answer, Answer) else answer

    async def unload(self) -> None:
        """Unload the model and end its worker: all of its memory is free then."""
        await self.link.close()

    def release(self) -> None:
        """Nothing of the model is in this process."""

    async def _pieces(self, number: int) -> AsyncGenerator[Any, None]:
        try:
            while (piece := await self.link.next_piece(number)) is not None:
                yield piece
        except InferenceError as error:
            raise self._named(error) from None
        finally:
            self.link.cancel(number)

    async def _tensors(
        self, method: str, lists: Sequence[Sequence[Tensor]], parameters: Parameters | None = None
    ) -> list[Tensor]:
        made: list[Tensor] = await self._call(method, lists, parameters)
        return made

    async def _call(self, method: str, lists: Any, parameters: Parameters | None = None, **more: Any) -> Any:
        try:
            return await self.link.call(method, lists, parameters, **more)
        except InferenceError as error:
            raise self._named(error) from None

    def _named(self, error: InferenceError) -> InferenceError:
        # The worker says class and text of what the model raised; the words around it are the server's.
        if error.kind is Kind.MODEL_FAILED:
            return InferenceError(error.kind, f"model {self._name!r} failed: {error}")
        return error

    async def _ask_health(self) -> None:
        self._is_healthy = False
        with contextlib.suppress(InferenceError):
            self._is_healthy = bool(await self.link.call("health"))
