"""Runs what the batch plan says: gathers requests, runs batches, hands every request its own rows.

`run` receives the joined inputs and returns outputs. When a batch of several requests fails, each is run again
alone, so that only the request at fault fails. A request that leaves (its task is cancelled) takes only itself away,
and a batch that nobody waits for is cancelled where the run can be (`is_cancellable`). All state is in the plan; this
module has futures and one timer.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

from runtimes import batch_assembly
from runtimes.batch_assembly import Form
from runtimes.batch_plan import Batch, BatchLimits, BatchPlan, Part
from runtimes.failures import InferenceError, Kind
from runtimes.statistics import Statistics
from runtimes.tensors import Parameters, Tensor
from tidegate.process import tasks

_UNBATCHED = BatchLimits()
Run = Callable[[Sequence[Tensor], Parameters], Awaitable[list[Tensor]]]


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How a model's requests are batched. `joins` False: every request runs by itself, in its turn.

    `least_rows`: smaller batches are filled up to this many rows. `retries_alone`: a failed batch is taken apart.
    """

    limits: BatchLimits = _UNBATCHED
    joins: bool = False
    form: Form = Form.STRICT
    pad_value: float = 0
    least_rows: int = 1
    retries_alone: bool = True


@dataclass(slots=True)
class _Waiter:
    inputs: list[Tensor]
    parameters: Parameters
    arrived: float
    future: asyncio.Future[list[Tensor]]
    pieces: dict[int, list[Tensor]] = field(default_factory=dict)
    missing: int = 1
    running: list[_Running] = field(default_factory=list)


@dataclass(slots=True)
class _Running:
    """A batch under way: its task, and the requests that still wait for it."""

    task: asyncio.Task[None]
    members: set[int]


class Batcher:
    """The queue in front of one model version."""

    def __init__(
        self,
        settings: BatchSettings,
        run: Run,
        statistics: Statistics,
        *,
        is_cancellable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._run = run
        self._statistics = statistics
        self._is_cancellable = is_cancellable
        self._clock = clock
        self._plan = BatchPlan(settings.limits)
        self._waiters: dict[int, _Waiter] = {}
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._is_turn_due = False

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return self._plan.waiting

    @property
    def in_flight(self) -> int:
        """How many batches run."""
        return self._plan.in_flight

    async def submit(self, inputs: list[Tensor], parameters: Parameters, deadline: float) -> list[Tensor]:
        """Return the outputs for these inputs; raises QUEUE_FULL, LATE, or what the model raised."""
        now = self._clock()
        number = next(self._numbers)
        key: Hashable = number
        rows = 1
        if self._settings.joins:
            rows = batch_assembly.rows_of(inputs)
            key = batch_assembly.key_of(inputs, parameters, self._settings.form)
        if not self._plan.offer(number, key, rows, now, deadline):
            self._statistics.rejected += 1
            limit = self._settings.limits.max_queue
            raise InferenceError(Kind.QUEUE_FULL, f"{limit} requests wait for this model already; try again later")
        waiter = _Waiter(inputs, parameters, now, asyncio.get_running_loop().create_future())
        waiter.missing = -(-rows // self._settings.limits.max_rows) if self._settings.joins else 1
        self._waiters[number] = waiter
        self._ask_for_turn()
        try:
            return await waiter.future
        finally:
            del self._waiters[number]
            self._plan.leave(number)
            self._leave_running(number, waiter)

    def close(self) -> None:
        """Fail everything that waits; batches under way end by themselves."""
        if self._timer is not None:
            self._timer.cancel()
        for number in self._plan.members():
            self._plan.leave(number)
            _fail(self._waiters[number], InferenceError(Kind.NOT_READY, "the model is being unloaded"))

    def _leave_running(self, number: int, waiter: _Waiter) -> None:
        # A batch that nobody waits for any more is ended where that is possible: a thread cannot be stopped.
        for running in waiter.running:
            running.members.discard(number)
            if not running.members and self._is_cancellable:
                running.task.cancel()

    def _ask_for_turn(self) -> None:
        # Once per turn of the loop: requests that arrive together are seen together.
        if not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_due = False
        now = self._clock()
        for number in self._plan.expire(now):
            _fail(self._waiters[number], InferenceError(Kind.LATE, "the deadline passed while the request waited"))
        while (batch := self._plan.start(now)) is not None:
            tasks.spawn(self._run_batch(batch, now), "batch")
        self._arm(now)

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self._plan.wake_at()
        if wake_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(wake_at - now, 0.0), self._turn)

    async def _run_batch(self, batch: Batch, began: float) -> None:
        # A member whose task was cancelled in this very turn is in the batch and no longer among the waiters.
        parts = [part for part in batch.parts if part.member in self._waiters]
        task = asyncio.current_task()
        assert task is not None, "batches run in tasks"
        running = _Running(task, {part.member for part in parts})
        for part in parts:
            self._waiters[part.member].running.append(running)
        try:
            for part in parts:
                self._statistics.queued(began - self._waiters[part.member].arrived)
            if parts:
                await self._serve(parts)
        finally:
            running.members.add(0)  # over: whoever leaves now cancels nothing
            self._plan.finish(self._clock() - began)
            self._ask_for_turn()

    async def _serve(self, parts: list[Part]) -> None:
        try:
            pieces = await self._outputs(parts)
        except Exception as error:
            if len(parts) == 1 or not self._settings.retries_alone:
                self._failed(parts, error)
                return
            for part in parts:
                if part.member in self._waiters:
                    await self._serve([part])
            return
        for part, outputs in zip(parts, pieces, strict=True):
            self._deliver(part, outputs)

    async def _outputs(self, parts: list[Part]) -> list[list[Tensor]]:
        settings = self._settings
        waiters = [self._waiters[part.member] for part in parts]
        if not settings.joins:
            return [await self._timed(waiters[0].inputs, waiters[0].parameters, 1)]
        rows = [part.rows for part in parts]
        members = [
            batch_assembly.rows_between(waiter.inputs, part.start, part.stop)
            for waiter, part in zip(waiters, parts, strict=True)
        ]
        joined = batch_assembly.join(members, settings.form, settings.pad_value)
        run_rows = max(sum(rows), settings.least_rows)
        if settings.form is not Form.RAGGED:
            joined = batch_assembly.filled_up(joined, sum(rows), run_rows)
        else:
            run_rows = sum(rows)
        outputs = await self._timed(joined, waiters[0].parameters, sum(rows))
        return batch_assembly.split(outputs, rows, run_rows)

    async def _timed(self, inputs: list[Tensor], parameters: Parameters, rows: int) -> list[Tensor]:
        began = self._clock()
        outputs = await self._run(inputs, parameters)
        self._statistics.ran(rows, self._clock() - began, is_batch=self._settings.joins)
        return outputs

    def _deliver(self, part: Part, outputs: list[Tensor]) -> None:
        waiter = self._waiters.get(part.member)
        if waiter is None or waiter.future.done():
            return  # left meanwhile: its rows were computed for nobody
        waiter.pieces[part.start] = outputs
        if len(waiter.pieces) == waiter.missing:
            waiter.future.set_result(batch_assembly.stitched([waiter.pieces[at] for at in sorted(waiter.pieces)]))

    def _failed(self, parts: list[Part], error: Exception) -> None:
        for part in parts:
            waiter = self._waiters.get(part.member)
            if waiter is not None:
                self._plan.leave(part.member)
                _fail(waiter, error)


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(error)
