"""A worker process: holds one model, runs what the server asks for, ends with the server.

It was forked from the zygote, or started by its `main`. It reads inputs where they lie in shared memory; arrays of them
are read-only. When a model keeps one beyond its call, the server is told, and leaves that memory alone until the model
lets go. Errors go over as kind and text, never as a trace: that stays in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import socket
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from runtimes import contract, opening
from runtimes.batching import BatchSettings
from runtimes.failures import InferenceError, Kind
from runtimes.isolation import frames, packing
from runtimes.isolation.frames import Answer, Call, Failed, NeedsRoom, Opened, Piece, Refused, Released
from runtimes.isolation.packing import PackError
from runtimes.tensors import Tensor
from tidegate.process import run, tasks

log = logging.getLogger(__name__)
ROOM_LIMIT_S = 30.0
RELEASE_LOOK_S = 1.0
STREAMS = 256


def main(link: socket.socket, arena_descriptor: int) -> None:
    """Serve the server at the other end of `link` until it says Close, or is gone."""
    with asyncio.Runner(loop_factory=run.loop_factory()) as runner:
        runner.run(_Worker(link, arena_descriptor).serve())


class _Inputs:
    """The tensors of one call on shared memory, and whether somebody still looks at them."""

    def __init__(self, memory: memoryview, call: Call) -> None:
        piece = memory[call.start : call.start + call.room_bytes].toreadonly()
        self.lists = [[packing.read(packed, piece) for packed in tensors] for tensors in call.tensors]
        self.made: Any = None
        self._arrays = [weakref.ref(_root(tensor.array)) for tensors in self.lists for tensor in tensors]

    def is_free(self) -> bool:
        """Let go; False while a model holds an array of them."""
        self.lists, self.made = [], None
        return not any(array() is not None for array in self._arrays)


def _root(array: Any) -> Any:
    # Every view of an array holds the one on the memory itself.
    while isinstance(array.base, type(array)):
        array = array.base
    return array


class _Worker:
    """One model and the calls inside it."""

    def __init__(self, link: socket.socket, arena_descriptor: int) -> None:
        self._link = link
        self._memory = memoryview(mmap.mmap(arena_descriptor, os.fstat(arena_descriptor).st_size))
        self._model: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[int, asyncio.Task[None]] = {}
        self._rooms: dict[int, asyncio.Future[frames.Room]] = {}
        self._streams: dict[int, Any] = {}
        self._kept: dict[int, _Inputs] = {}
        self._writer: asyncio.StreamWriter

    async def serve(self) -> None:
        """Read messages until the server closes or is gone."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._link)
        parts = frames.FrameReader()
        looking = tasks.spawn(self._look_at_kept(), "kept inputs")
        try:
            while data := await reader.read(1 << 16):
                for content in parts.feed(data):
                    message = frames.decode_to_worker(content)
                    if isinstance(message, frames.Close):
                        await self._close()
                        return
                    self._take(message)
        finally:
            await tasks.cancel(looking, *self._running.values())

    def _take(self, message: Any) -> None:
        match message:
            case frames.Open():
                self._running[0] = tasks.spawn(self._open(message), "open")
            case Call():
                self._running[message.number] = tasks.spawn(self._call(message), message.method)
            case frames.Room():
                if (future := self._rooms.get(message.number)) and not future.done():
                    future.set_result(message)
            case frames.Next():
                self._running[message.number] = tasks.spawn(self._next(message.number), "next")
            case frames.Cancel():
                self._cancel(message.number)

    def _send(self, message: Any) -> None:
        try:
            content = frames.framed(message)
        except Exception as error:
            text = f"the model's answer cannot be sent: {error}"
            content = frames.framed(Failed(message.number, Kind.MODEL_FAILED.value, text))
        self._writer.write(content)

    # The model

    async def _open(self, asked: frames.Open) -> None:
        loop = asyncio.get_running_loop()
        try:
            model, settings, opened = await loop.run_in_executor(None, _opened, asked)
        except BaseException as error:
            log.warning("opening %s failed: %r", asked.folder, error, exc_info=error)
            self._send(Refused(f"{type(error).__name__}: {error}"))
            return
        self._model = model
        if model.is_blocking or settings.joins:
            self._threads = ThreadPoolExecutor(settings.limits.max_in_flight, "model")
        self._send(opened)

    async def _close(self) -> None:
        await tasks.cancel(*self._running.values())
        if self._model is not None:
            try:
                await self._in_thread(self._model.unload)
            except Exception as error:
                log.warning("unload failed: %r", error, exc_info=error)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._threads is None:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # Calls

    async def _call(self, call: Call) -> None:
        answer: Answer | Failed
        inputs: _Inputs | None = None
        try:
            inputs = _Inputs(self._memory, call)
            answer = await self._answer(call, inputs)
        except asyncio.CancelledError:
            answer = Failed(call.number, Kind.CANCELLED.value, "nobody waits any more")
        except BaseException as error:
            answer = self._failure(call.number, error)
            del error
        finally:
            self._running.pop(call.number, None)
        if self._kept:
            self._release()
        if inputs is not None and not inputs.is_free():
            self._kept[call.number] = inputs
            answer.is_kept = True
        self._send(answer)

    async def _answer(self, call: Call, inputs: _Inputs) -> Answer | Failed:
        made = await self._made(call, inputs)
        if isinstance(made, Failed):
            return made
        if call.method in ("generate", "route", "health"):
            return self._value(call, made)
        said, parts, size = packing.encode([made])
        start, room = call.start + call.used_bytes, call.room_bytes - call.used_bytes
        if size > room:
            given = await self._more_room(call.number, size)
            start, room = given.start, given.room_bytes
        packing.write(said, parts, self._memory[start : start + room])
        return Answer(call.number, said[0], start)

    async def _made(self, call: Call, inputs: _Inputs) -> Any:
        if not (call.method == "predict" and self._model.is_async):
            await self._in_thread(self._run, call, inputs)
            return inputs.made
        try:
            return await self._model.predict_async(inputs.lists[0], call.parameters)
        except Exception as error:
            return self._failure(call.number, error)

    def _run(self, call: Call, inputs: _Inputs) -> None:
        # Nothing is returned or raised: a thread holds on to that until its next turn, and with it to the inputs.
        try:
            inputs.made = self._method(call, inputs.lists)
        except Exception as error:
            inputs.made = self._failure(call.number, error)

    def _method(self, call: Call, lists: list[list[Tensor]]) -> Any:
        model = self._model
        inputs = lists[0] if lists else []
        match call.method:
            case "predict":
                return model.predict(inputs, call.parameters)
            case "explain":
                return model.explain(inputs)
            case "aggregate":
                return model.aggregate(lists)
            case "route":
                return model.route(inputs)
            case "generate":
                return model.generate(call.text, call.parameters)
            case "health":
                return model.is_healthy()
        return model.seldon_verb(call.method.removeprefix("seldon-"), inputs[0], call.document)

    def _value(self, call: Call, made: Any) -> Answer:
        if call.method != "generate" or isinstance(made, str | Mapping):
            return Answer(call.number, value=made)
        if len(self._streams) >= STREAMS:
            raise InferenceError(Kind.QUEUE_FULL, f"{STREAMS} streams of this model are open already")
        self._streams[call.number] = made
        return Answer(call.number, is_stream=True)

    async def _more_room(self, number: int, size_bytes: int) -> frames.Room:
        self._rooms[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(NeedsRoom(number, size_bytes))
            async with asyncio.timeout(ROOM_LIMIT_S):
                given = await self._rooms[number]
        finally:
            del self._rooms[number]
        if given.refusal:
            text = f"the answer's {size_bytes} bytes do not fit the memory shared with the worker; see worker_arena_mib"
            raise InferenceError(Kind(given.refusal), text)
        return given

    async def _next(self, number: int) -> None:
        pieces = self._streams.get(number)
        try:
            if pieces is None:
                value = None
            elif hasattr(pieces, "__anext__"):
                value = await anext(pieces, None)
            else:
                value = await self._in_thread(next, pieces, None)
            if value is None:
                self._streams.pop(number, None)
            self._send(Piece(number, value))
        except asyncio.CancelledError:
            self._streams.pop(number, None)
        except BaseException as error:
            self._streams.pop(number, None)
            self._send(self._failure(number, error))
        finally:
            self._running.pop(number, None)

    def _cancel(self, number: int) -> None:
        pieces = self._streams.pop(number, None)
        if pieces is not None:
            tasks.spawn(self._closed(number, pieces), "close stream")
            return
        # A thread cannot be stopped: only coroutines are.
        if self._model is not None and self._model.is_async and (task := self._running.get(number)):
            task.cancel()

    async def _closed(self, number: int, pieces: Any) -> None:
        if task := self._running.get(number):
            await asyncio.wait({task})
        if hasattr(pieces, "aclose"):
            await pieces.aclose()
        elif close := getattr(pieces, "close", None):
            await self._in_thread(close)

    def _failure(self, number: int, error: BaseException) -> Failed:
        if isinstance(error, InferenceError):
            return Failed(number, error.kind.value, str(error))
        if isinstance(error, PackError):
            return Failed(number, Kind.BAD_INPUT.value, str(error))
        log.warning("the model failed: %r", error, exc_info=error)
        return Failed(number, Kind.MODEL_FAILED.value, f"{type(error).__name__}: {error}")

    async def _look_at_kept(self) -> None:
        while True:
            await asyncio.sleep(RELEASE_LOOK_S)
            self._release()

    def _release(self) -> None:
        for number in [number for number, inputs in self._kept.items() if inputs.is_free()]:
            del self._kept[number]
            self._send(Released(number))


def _opened(asked: frames.Open) -> tuple[contract.Model, BatchSettings, Opened]:
    target = opening.open_model(Path(asked.folder), asked.model, asked.config)
    model = contract.wrap(target)
    model.load()
    settings = contract.settings_of(target, asked.model.batching)
    declared = float(target.memory_bytes()) if hasattr(target, "memory_bytes") else 0.0
    names, meta = _seldon(model)
    methods = [name for name in ("predict", "explain", "generate", "route", "aggregate", "health") if model.has(name)]
    return (
        model,
        settings,
        Opened(model.spec, settings, methods, model.takes_json, model.is_async, declared, names, meta),
    )


def _seldon(model: contract.Model) -> tuple[list[str], dict[str, Any]]:
    with contextlib.suppress(Exception):
        return model.seldon_meta()
    return [], {}
