"""The server's end of one worker: calls with numbers, their pieces of shared memory, and what happens when it ends.

A piece belongs to a call until the worker has answered it, even when the caller left long ago: nobody else's tensors
may lie where a model still reads. It is freed in one place, `_finish`. A call that takes longer than `call_limit_s`
ends the worker: it hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from runtimes.failures import InferenceError, Kind
from runtimes.isolation import frames, packing
from runtimes.isolation.arena import Arena
from runtimes.isolation.frames import Answer, Call, Failed, NeedsRoom, Opened, Piece, Refused, Released
from runtimes.isolation.packing import Packed, PackError
from runtimes.tensors import Parameters, Tensor
from tidegate.process import tasks

log = logging.getLogger(__name__)

LEAST_ANSWER_BYTES = 4096
CLOSE_LIMIT_S = 10.0
END_LIMIT_S = 2.0


class End(NamedTuple):
    """How a worker ended: one word for counters, and the text after "the worker"."""

    word: str
    text: str


class WorkerEnded(Exception):
    """The worker is gone; the message says how it ended."""


class RefusedByWorker(Exception):
    """The model could not be opened or loaded; the message is the error's class and text."""


class _Call:
    """One call: who waits for it, and which pieces of memory are its own."""

    __slots__ = ("future", "is_left", "is_sent", "starts")

    def __init__(self, future: asyncio.Future[Any], start: int | None) -> None:
        self.future = future
        self.starts = [] if start is None else [start]
        self.is_left = self.is_sent = False


class WorkerLink(asyncio.Protocol):
    """Speaks with one worker; `on_end` hears of an end that nobody asked for."""

    def __init__(self, arena: Arena, call_limit_s: float, on_end: Callable[[End], None]) -> None:
        self.arena = arena
        self.pid = 0
        self._pidfd = -1
        self._killed_as: End | None = None
        self._call_limit_s = call_limit_s
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._kept: dict[int, list[int]] = {}
        self._answer_bytes = LEAST_ANSWER_BYTES
        self._reader = frames.FrameReader()
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Opened] = loop.create_future()
        self._exit_code: asyncio.Future[int] = loop.create_future()
        self.is_gone = asyncio.Event()
        self.is_closing = False
        self._end = End("", "ends")

    # What the server asks

    def has_process(self, pid: int) -> None:
        """The worker is this process."""
        self.pid = pid
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(pid)

    async def open(self, asked: frames.Open, limit_s: float) -> Opened:
        """Open the model; raises RefusedByWorker, WorkerEnded, TimeoutError after `limit_s` seconds."""
        self._send(asked)
        async with asyncio.timeout(limit_s):
            return await self._opened

    async def call(
        self,
        method: str,
        lists: Sequence[Sequence[Tensor]] = (),
        parameters: Parameters | None = None,
        *,
        text: str = "",
        document: dict[str, Any] | None = None,
    ) -> Any:
        """Run a method of the model: returns tensors, a value, or the number of a stream (`Answer` for the latter).

        Raises InferenceError: WORKER_ENDED when the worker ends meanwhile.
        """
        if self.is_gone.is_set():
            raise self._gone()
        said, parts, used = packing.encode(lists) if lists else ([], [], 0)
        number = next(self._numbers)
        start = self._piece(used) if lists else None
        future = asyncio.get_running_loop().create_future()
        call = self._calls[number] = _Call(future, start)
        try:
            message = Call(number, method, parameters=parameters or {}, text=text, document=document or {})
            if start is not None:
                piece = self.arena.piece(start)
                packing.write(said, parts, piece)
                message.tensors, message.start = said, start
                message.room_bytes, message.used_bytes = (
                    len(piece),
                    -(-used // packing.ALIGN_BYTES) * packing.ALIGN_BYTES,
                )
            self._send(message)
            call.is_sent = True
            answer = await self._within_limit(future, method)
            return self._taken(answer)
        except PackError as error:
            self.kill("protocol", f"broke the protocol: {error}")
            raise InferenceError(Kind.MODEL_FAILED, f"the model's worker sent what cannot be: {error}") from error
        finally:
            self._leave(number, call)

    async def next_piece(self, number: int) -> Any:
        """Return what the generator of a call yields next, None at its end."""
        future = asyncio.get_running_loop().create_future()
        call = self._calls[number] = _Call(future, None)
        try:
            self._send(frames.Next(number))
            call.is_sent = True
            return await self._within_limit(future, "generate")
        finally:
            self._leave(number, call)

    def cancel(self, number: int) -> None:
        """Say that nobody wants more of a stream."""
        self._send(frames.Cancel(number))

    async def close(self) -> None:
        """Let the worker unload and end; kill it when that takes too long."""
        self.is_closing = True
        self._send(frames.Close())
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self.is_gone.wait()
        except TimeoutError:
            log.warning("worker %d did not end within %.0f s and is killed", self.pid, CLOSE_LIMIT_S)
            self.kill("close_timeout", "did not end")
            await self.is_gone.wait()

    def kill(self, word: str, text: str) -> None:
        """End the worker now; `word` is counted, and `text` told to everybody who waits."""
        self._killed_as = self._killed_as or End(word, text)
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif self._transport is not None:
            self._transport.abort()

    def has_exited(self, code: int) -> None:
        """Hear of the exit code, from the zygote."""
        if not self._exit_code.done():
            self._exit_code.set_result(code)
            # What the worker sent last may still be on its way. A process that the model has forked may hold the other
            # end of the socket, though: then its end alone would never be heard of here.
            asyncio.get_running_loop().call_later(END_LIMIT_S, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Pieces of memory

    def _piece(self, used_bytes: int) -> int:
        size_bytes = used_bytes + LEAST_ANSWER_BYTES
        for wanted in (used_bytes + self._answer_bytes, size_bytes):
            start = self.arena.take(wanted)
            if start is not None:
                return start
        if size_bytes > self.arena.size_bytes:
            text = f"its tensors need {size_bytes} bytes, the memory shared with the worker has {self.arena.size_bytes}"
            raise InferenceError(Kind.TOO_LARGE, f"{text}; see worker_arena_mib")
        text = "the tensors of requests in flight fill the memory shared with the worker; try again later"
        raise InferenceError(Kind.QUEUE_FULL, text)

    def _leave(self, number: int, call: _Call) -> None:
        # A caller who was cancelled has cancelled the future too: that is no answer.
        is_answered = call.future.done() and not call.future.cancelled()
        if is_answered or not call.is_sent or self.is_gone.is_set():
            self._finish(number, call)
            return
        call.is_left = True  # the worker still has it: `_settle` finishes it
        self._send(frames.Cancel(number))

    def _finish(self, number: int, call: _Call) -> None:
        self._calls.pop(number, None)
        if number in self._kept:
            self._kept[number] = call.starts
            return
        for start in call.starts:
            self.arena.give_back(start)

    def _taken(self, answer: Answer | Any) -> Any:
        if not isinstance(answer, Answer):
            return answer
        if answer.is_stream:
            return answer
        if not answer.tensors:
            return answer.value if answer.value is not None else []
        call = self._calls[answer.number]
        last = answer.tensors[-1]
        # What answers needed lately: one that was very large is forgotten after some dozen.
        self._answer_bytes = max(last.start + last.size_bytes, self._answer_bytes * 7 // 8, LEAST_ANSWER_BYTES)
        return [self._copied(packed, answer.start, call) for packed in answer.tensors]

    def _copied(self, packed: Packed, start: int, call: _Call) -> Tensor:
        for own in call.starts:
            piece = self.arena.piece(own)
            if own <= start < own + len(piece):
                made = packing.read(packed, piece[start - own :])
                return Tensor(made.name, made.datatype, made.array.copy(), made.parameters)
        raise PackError(f"tensor {packed.name!r} lies in another call's memory")

    # What the worker says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Messages arrived; one that cannot be ends the worker."""
        try:
            for content in self._reader.feed(data):
                self._take(frames.decode_from_worker(content))
        except (ValueError, TypeError, KeyError) as error:
            log.error("worker %d sent what it must not: %r", self.pid, error)
            self.kill("protocol", f"broke the protocol: {error}")

    def _take(self, message: Any) -> None:
        match message:
            case Opened() | Refused():
                self._has_opened(message)
            case NeedsRoom():
                self._give_room(message)
            case Released():
                for start in self._kept.pop(message.number, ()):
                    self.arena.give_back(start)
            case Failed():
                if message.is_kept:
                    self._kept[message.number] = []
                self._settle(message.number, InferenceError(Kind(message.kind), message.message))
            case Answer():
                if message.is_kept:
                    self._kept[message.number] = []
                self._settle(message.number, message)
            case Piece():
                self._settle(message.number, message.value)

    def _has_opened(self, message: Opened | Refused) -> None:
        if self._opened.done():
            return  # nobody waits any more
        if isinstance(message, Opened):
            self._opened.set_result(message)
        else:
            self._opened.set_exception(RefusedByWorker(message.error))

    def _give_room(self, message: NeedsRoom) -> None:
        call = self._calls[message.number]
        start = None if call.is_left else self.arena.take(message.size_bytes)
        if start is None:
            kind = Kind.TOO_LARGE if message.size_bytes > self.arena.size_bytes else Kind.QUEUE_FULL
            self._send(frames.Room(message.number, refusal=kind.value))
            return
        call.starts.append(start)
        self._send(frames.Room(message.number, start, message.size_bytes))

    def _settle(self, number: int, outcome: Any) -> None:
        call = self._calls.get(number)
        if call is None:
            return  # a stream that was closed meanwhile
        if call.is_left:
            self._finish(number, call)
            if isinstance(outcome, Answer) and outcome.is_stream:
                self.cancel(number)  # it was opened for somebody who left
        elif not call.future.done():
            if isinstance(outcome, Exception):
                call.future.set_exception(outcome)
            else:
                call.future.set_result(outcome)

    def connection_lost(self, error: Exception | None) -> None:
        """The worker is gone: everybody who waits is told, once it is known how it ended."""
        tasks.spawn(self._ended(), f"end of worker {self.pid}")

    async def _ended(self) -> None:
        try:
            async with asyncio.timeout(END_LIMIT_S):
                end = end_of(await self._exit_code)
        except TimeoutError:
            end = End("socket", "closed its socket")
        end = self._end = self._killed_as or end
        self.is_gone.set()
        if not self._opened.done():
            self._opened.set_exception(WorkerEnded(f"its worker process {end.text}"))
            self._opened.exception()  # it may be that nobody waits
        for number, call in list(self._calls.items()):
            if call.is_left:
                self._finish(number, call)
            elif not call.future.done():
                call.future.set_exception(self._gone())
        if not self.is_closing:
            self._on_end(end)
        self.arena.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _gone(self) -> InferenceError:
        return InferenceError(Kind.WORKER_ENDED, f"the model's worker process ended: it {self._end.text}")

    async def _within_limit(self, future: asyncio.Future[Any], method: str) -> Any:
        if self.is_gone.is_set():
            raise self._gone()
        try:
            async with asyncio.timeout(self._call_limit_s):
                return await future
        except TimeoutError:
            if future.done() and not future.cancelled():
                raise
            text = f"hung in {method} for {self._call_limit_s:g} s and was killed"
            self.kill("hung", text)
            raise InferenceError(Kind.WORKER_ENDED, f"the model's worker process ended: it {text}") from None

    def _send(self, message: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.framed(message))


def end_of(code: int) -> End:
    """Return an exit code (negative: a signal) as word and text."""
    if code >= 0:
        return End("exit", f"exited with code {code}")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return End(name, f"was killed by {name}")
