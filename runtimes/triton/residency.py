"""Which models are in Triton's memory, and the requests that wait for one: load on demand, once for all who wait.

What goes for a model when not all fit is the swap plan's matter (runtimes/repository/swap_plan.py; here every model
counts as one). Whoever enters a model leaves it again; a waiter that goes takes nothing of the others along. A failed
load is remembered for a while, so that a broken model does not keep Triton loading. Nothing here knows HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runtimes.repository.swap_plan import Drain, Evict, Load, Resident, SwapLimits, SwapPlan, Wait
from runtimes.triton.repository_api import LoadFailed
from tidegate.process import tasks

log = logging.getLogger(__name__)

FAILURE_MEMORY_S = 5.0
FAILURES_LIMIT = 10_000
TOO_MANY = "too many requests wait for models"


class Full(Exception):
    """Too many requests wait."""


@dataclass(slots=True)
class Model:
    """A model in memory."""

    name: str
    loaded_at: float
    last_used: float
    in_use: int = 0
    is_leaving: bool = False
    is_draining: bool = False

    def resident(self) -> Resident:
        """What the plan sees of it."""
        return Resident(
            self.name,
            1,
            self.loaded_at,
            self.last_used,
            is_in_use=self.in_use > 0,
            is_leaving=self.is_leaving,
        )


class Residency:
    """The models in memory. `load` and `unload` raise LoadFailed; `clock` is the loop's."""

    def __init__(
        self,
        load: Callable[[str], Awaitable[None]],
        unload: Callable[[str], Awaitable[None]],
        limits: SwapLimits,
        clock: Callable[[], float],
    ) -> None:
        self._load = load
        self._unload = unload
        self._clock = clock
        self._plan = SwapPlan(limits)
        self._models: dict[str, Model] = {}
        self._waiters: dict[str, dict[int, asyncio.Future[str]]] = {}
        self._loading: set[str] = set()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, tuple[float, str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.loads = self.failed_loads = self.evictions = self.refused = 0
        self.load_s = 0.0

    @property
    def loaded(self) -> list[str]:
        """The models in memory."""
        return sorted(self._models)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._plan.waiting

    def enter(self, name: str) -> bool:
        """Take a model that is in memory for one request; False when the request must wait for it."""
        model = self._models.get(name)
        if model is None or model.is_leaving or model.is_draining:
            return False
        model.in_use += 1
        model.last_used = self._clock()
        return True

    def leave(self, name: str) -> None:
        """Give a model back that was entered."""
        model = self._models.get(name)
        if model is None:
            return  # a client has unloaded it meanwhile
        model.in_use = max(0, model.in_use - 1)
        model.last_used = self._clock()
        if not model.in_use and self._plan.waiting:
            self._turn()

    async def wait(self, name: str, timeout_s: float) -> None:
        """Return when the model was loaded and is entered. Raises Full, LoadFailed, TimeoutError."""
        if self.enter(name):
            return
        now = self._clock()
        until, text = self._failures.get(name, (0.0, ""))
        if now < until:
            raise LoadFailed(text)
        ticket = self._plan.want(name, 1, now)
        if ticket is None:
            self.refused += 1
            raise Full(TOO_MANY)
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(name, {})[ticket] = turn
        try:
            self._turn()
            async with asyncio.timeout(timeout_s):
                error = await asyncio.shield(turn)
        except (asyncio.CancelledError, TimeoutError):
            if turn.done() and not turn.result():
                self.leave(name)
            raise
        finally:
            self._plan.leave(ticket)
            waiters = self._waiters.get(name, {})
            waiters.pop(ticket, None)
            if not waiters:
                self._waiters.pop(name, None)
        if error:
            raise LoadFailed(error)

    def is_now(self, loaded: set[str]) -> None:
        """Take what Triton says is in memory, after a client has loaded or unloaded something itself."""
        now = self._clock()
        for name in loaded - self._models.keys() - self._loading:
            self._models[name] = Model(name, now, now)
            self._failures.pop(name, None)
        for name in [each for each, model in self._models.items() if each not in loaded and not model.is_leaving]:
            del self._models[name]
        self._turn()

    def close(self) -> None:
        """Plan nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        """Do what the plan says until it says wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while True:
            residents = [model.resident() for model in self._models.values()]
            step = self._plan.next(residents, self._loading, len(self._loading), self._clock())
            if isinstance(step, Load):
                self._begin(str(step.key), tuple(map(str, step.evict)))
            elif isinstance(step, Evict):
                for key in step.keys:
                    self._begin_eviction(str(key))
            elif isinstance(step, Drain) and not self._models[str(step.key)].is_draining:
                self._models[str(step.key)].is_draining = True
            else:
                if isinstance(step, Wait) and step.until < math.inf:
                    self._timer = asyncio.get_running_loop().call_at(step.until, self._turn)
                return

    def _begin(self, name: str, victims: tuple[str, ...]) -> None:
        model = self._models.get(name)
        if model is not None and not model.is_leaving:  # it was to go for another, which found room elsewhere
            model.is_draining = False
            self._settle(name, "", model)
            return
        self._loading.add(name)
        first = [self._begin_eviction(victim) for victim in victims]
        if name in self._leaving:
            first.append(self._leaving[name])
        tasks.spawn(self._bring(name, first), f"load {name}")

    def _begin_eviction(self, name: str) -> asyncio.Task[None]:
        self._models[name].is_leaving = True
        task = self._leaving[name] = tasks.spawn(self._evict(name), f"unload {name}")
        return task

    async def _bring(self, name: str, first: list[asyncio.Task[None]]) -> None:
        began, error = self._clock(), ""
        try:
            for eviction in first:
                await eviction
            await self._load(name)
        except LoadFailed as failed:
            error = str(failed) or "the load failed"
            log.warning("model %s was not loaded: %s", name, error)
        except BaseException:
            error = "the load was given up"
            raise
        finally:
            now = self._clock()
            self._loading.discard(name)
            self._note(name, error, now - began)
            self._settle(name, error, None if error else self._models[name])
        if not error:
            log.info("model %s was loaded in %.0f ms", name, (now - began) * 1e3)
        self._turn()

    def _note(self, name: str, error: str, duration_s: float) -> None:
        now = self._clock()
        self.load_s += duration_s
        if error:
            self.failed_loads += 1
            if len(self._failures) >= FAILURES_LIMIT:
                self._failures.clear()
            self._failures[name] = (now + FAILURE_MEMORY_S, error)
        else:
            self.loads += 1
            self._failures.pop(name, None)
            self._models[name] = Model(name, now, now)

    def _settle(self, name: str, error: str, model: Model | None) -> None:
        self._plan.settle(name)
        for turn in self._waiters.pop(name, {}).values():
            if not turn.done():
                turn.set_result(error)
                if model is not None:
                    model.in_use += 1  # entered for it, so that nothing evicts the model before it wakes

    async def _evict(self, name: str) -> None:
        try:
            await self._unload(name)
            self.evictions += 1
        except LoadFailed as failed:
            log.warning("model %s was not unloaded: %s", name, failed)
        finally:
            self._models.pop(name, None)
            self._leaving.pop(name, None)
            self._turn()
