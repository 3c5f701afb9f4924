"""One version of one model in memory: its object, its queue, its threads, its counters.

`infer_now` serves models that are quick and need no queue, without a task; everything else goes through `infer`. Both
return outputs or raise InferenceError; neither knows a protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from runtimes import messages, tensors
from runtimes.batching import Batcher, BatchSettings
from runtimes.contract import Model
from runtimes.failures import InferenceError, Kind
from runtimes.isolation.process_memory import ProcessMemory
from runtimes.isolation.remote_model import RemoteModel
from runtimes.messages import InferRequest, InferResponse, ModelSpec, TensorSpec
from runtimes.statistics import Statistics
from runtimes.tensors import Parameters, Tensor

log = logging.getLogger(__name__)
T = TypeVar("T")
_DRAIN_LIMIT_S = 30.0


class Servable:
    """A loaded model version. `pending` counts the requests inside; it is never unloaded before they are gone."""

    def __init__(self, name: str, version: str, model: Model | RemoteModel, settings: BatchSettings) -> None:
        self.name = name
        self.version = version
        self.model = model
        self.settings = settings
        self.statistics = Statistics()
        self.batcher = Batcher(settings, self._run, self.statistics, is_cancellable=model.is_cancellable)
        self.is_inline = not model.is_blocking and not model.is_async and not settings.joins
        self._threads = (
            ThreadPoolExecutor(settings.limits.max_in_flight, f"{name}-{version}") if self._needs() else None
        )
        self.is_leaving = False
        self.load_s = 0.0
        self.memory: ProcessMemory | None = None
        self._beside = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.on_idle: Callable[[], None] | None = None

    def _needs(self) -> bool:
        return not isinstance(self.model, RemoteModel) and (self.model.is_blocking or self.settings.joins)

    @property
    def spec(self) -> ModelSpec:
        """What the model declares."""
        return self.model.spec

    @property
    def pending(self) -> int:
        """How many requests are inside."""
        return self.statistics.pending

    def infer_now(self, request: InferRequest) -> InferResponse:
        """Serve a request of an inline model at once."""
        messages.check(request.inputs, self.spec.inputs)
        statistics = self.statistics
        began = time.perf_counter()
        assert isinstance(self.model, Model), "inline models are in this process"
        try:
            outputs = self.model.predict(request.inputs, request.parameters)
        except BaseException as error:
            statistics.fail.add(time.perf_counter() - began)
            raise self._translated(error) from error
        took_s = time.perf_counter() - began
        statistics.ran(1, took_s)
        statistics.success.add(took_s)
        return InferResponse(self.name, self.version, outputs, request.id)

    async def infer(self, request: InferRequest) -> InferResponse:
        """Serve a request in its turn; raises LATE at its deadline."""
        if self.is_inline:
            return self.infer_now(request)
        messages.check(request.inputs, self.spec.inputs)
        outputs = await self.counted(self.batcher.submit(request.inputs, request.parameters, request.deadline), request)
        return InferResponse(self.name, self.version, outputs, request.id)

    async def counted(self, work: Any, request: InferRequest) -> Any:
        """Await `work` as one request of this model: counted, bounded by its deadline, its failure translated."""
        statistics = self.statistics
        began = time.perf_counter()
        statistics.pending += 1
        self._idle.clear()
        try:
            deadline = request.deadline
            async with asyncio.timeout(None if math.isinf(deadline) else max(deadline - time.monotonic(), 0.0)):
                result = await work
        except asyncio.CancelledError:
            statistics.cancelled += 1
            raise
        except BaseException as error:
            statistics.fail.add(time.perf_counter() - began)
            raise self._translated(error) from error
        finally:
            self._left()
        statistics.success.add(time.perf_counter() - began)
        statistics.last_inference_ms = int(time.time() * 1000)
        return result

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a method of the model beside the queue, in its threads: explain, route, generate."""
        work = functools.partial(function, *arguments)
        if isinstance(self.model, RemoteModel):
            made: T = await _resolved(work())
            return made
        if self._threads is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def beside(self, function: Callable[..., Any], *arguments: Any, deadline: float = math.inf) -> Any:
        """Run another method of the model as a request of its own, beside the batch queue; raises QUEUE_FULL when as
        many of these wait as the queue holds."""
        limit = self.settings.limits.max_queue
        if self._beside >= limit:
            self.statistics.rejected += 1
            text = f"{limit} requests wait for this model's {function.__name__} already; try again later"
            raise InferenceError(Kind.QUEUE_FULL, text)
        self._beside += 1
        try:
            asked = InferRequest(self.name, [], self.version, deadline=deadline)
            return await self.counted(self.call(function, *arguments), asked)
        finally:
            self._beside -= 1

    async def infer_json(self, rows: list[Any], parameters: Parameters) -> list[Any]:
        """Serve V1 rows to a model that takes them as they came; returns its answers, one per row."""
        asked = InferRequest(self.name, [tensors.of_objects("rows", tensors.JSON, rows)], self.version)
        work = self.batcher.submit(asked.inputs, parameters, asked.deadline)
        answers: list[Any] = (await self.counted(work, asked))[0].array.tolist()
        return answers

    async def generated(self, text: str, parameters: Parameters, deadline: float) -> AsyncGenerator[Any, None]:
        """Yield what the model generates, piece by piece; closing this closes the model's generator."""
        made = await self.beside(self.model.generate, text, parameters, deadline=deadline)
        if isinstance(made, str | Mapping):
            yield made
            return
        self.statistics.pending += 1
        self._idle.clear()
        try:
            pieces: Any = made if hasattr(made, "__anext__") else self._in_thread(cast(Iterator[Any], made))
            async with contextlib.aclosing(pieces):
                while True:
                    async with asyncio.timeout(None if math.isinf(deadline) else max(deadline - time.monotonic(), 0)):
                        piece = await anext(pieces, None)
                    if piece is None:
                        return
                    yield piece
        except Exception as error:
            raise self._translated(error) from error
        finally:
            self._left()

    async def _in_thread(self, pieces: Iterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            while (piece := await self.call(next, pieces, None)) is not None:
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                await self.call(close)

    def configuration(self) -> dict[str, Any]:
        """Return the model configuration extension's answer, in Triton's words."""
        limits = self.settings.limits
        document: dict[str, Any] = {
            "name": self.name,
            "platform": self.spec.platform,
            "backend": self.spec.platform,
            "max_batch_size": limits.max_rows if self.settings.joins else 0,
            "input": [_configured(each) for each in self.spec.inputs],
            "output": [_configured(each) for each in self.spec.outputs],
            "instance_group": [{"name": self.name, "count": limits.max_in_flight, "kind": "KIND_CPU"}],
        }
        if self.settings.joins:
            policy = {"max_queue_size": limits.max_queue}
            delay_us = int(limits.max_delay_s * 1e6)
            document["dynamic_batching"] = {"max_queue_delay_microseconds": delay_us, "default_queue_policy": policy}
        return document

    def _left(self) -> None:
        self.statistics.pending -= 1
        if not self.statistics.pending:
            self._idle.set()
            if self.on_idle is not None:
                self.on_idle()

    async def idle(self) -> None:
        """Wait until no request is inside."""
        await self._idle.wait()

    async def close(self) -> None:
        """Unload: what is inside ends (30 s at the most, then what still waits fails), then the model lets go.

        `is_leaving` tells a handler that took this servable and has not begun with it to ask for another.
        """
        self.is_leaving = True
        try:
            async with asyncio.timeout(_DRAIN_LIMIT_S):
                await self.idle()
        except TimeoutError:
            log.warning("model %s/%s is unloaded with %d requests inside", self.name, self.version, self.pending)
        self.batcher.close()
        left = await self.call(self.model.unload)
        if inspect.isawaitable(left):
            await left
        self.model.release()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _run(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        if isinstance(self.model, RemoteModel) or self.model.is_async:
            return await self.model.predict_async(inputs, parameters)
        return await self.call(self.model.predict, inputs, parameters)

    def _translated(self, error: BaseException) -> InferenceError:
        if isinstance(error, InferenceError):
            return error
        if isinstance(error, TimeoutError):
            return InferenceError(Kind.LATE, f"model {self.name!r} did not answer before the deadline")
        if not isinstance(error, Exception):
            raise error
        log.warning("model %s/%s failed: %r", self.name, self.version, error, exc_info=error)
        return InferenceError(Kind.MODEL_FAILED, f"model {self.name!r} failed: {type(error).__name__}: {error}")


async def _resolved(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _configured(spec: TensorSpec) -> dict[str, Any]:
    datatype = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": datatype, "dims": list(spec.shape)}
