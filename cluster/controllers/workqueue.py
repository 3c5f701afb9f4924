"""Keys waiting to be reconciled: each at once, each at most once at a time, each with its own back-off.

Level-triggered: adding a key that already waits changes nothing; adding one that is being worked on makes it run once
more afterwards. Bounded by the number of objects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tidegate.kube.api import ApiError
from tidegate.process import tasks

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.005
LAST_BACKOFF_S = 30.0
RECONCILE_TIMEOUT_S = 60.0

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Runs `reconcile(key)` for each added key on `workers` workers.

    `reconcile` returns in how many seconds to run again even if nothing happens, or None.
    """

    def __init__(self, reconcile: Callable[[K], Awaitable[float | None]], *, workers: int = 16) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._ready: deque[K] = deque()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._available = asyncio.Semaphore(0)

    def add(self, key: K) -> None:
        """Reconcile `key` as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._available.release()

    def add_after(self, key: K, delay_s: float) -> None:
        """Reconcile `key` in `delay_s` seconds; replaces an earlier timer of the key."""
        if old := self._timers.pop(key, None):
            old.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(delay_s, self._due, key)

    def add_within(self, key: K, delay_s: float) -> None:
        """Reconcile `key` in at most `delay_s` seconds: a timer that runs is left alone."""
        if key not in self._timers:
            self.add_after(key, delay_s)

    async def run(self) -> None:
        """Work until cancelled."""
        workers = [tasks.spawn(self._work(), f"reconcile-{number}") for number in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for timer in self._timers.values():
                timer.cancel()
            await tasks.cancel(*workers)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while True:
            await self._available.acquire()
            key = self._ready.popleft()
            self._queued.discard(key)
            self._running.add(key)
            try:
                await self._once(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _once(self, key: K) -> None:
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                again_in_s = await self._reconcile(key)
        except Exception as error:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            delay_s = min(FIRST_BACKOFF_S * 2 ** min(count - 1, 20), LAST_BACKOFF_S)
            known = isinstance(error, ApiError | TimeoutError)
            # A conflict or two is the normal way to learn of somebody else's write.
            level = logging.DEBUG if known and count < 4 else logging.WARNING
            log.log(level, "%s: %r; again in %.3f s", key, error, delay_s, exc_info=None if known else error)
            self.add_after(key, delay_s)
            return
        self._failures.pop(key, None)
        if again_in_s is not None:
            self.add_after(key, again_in_s)
        elif key in self._timers:
            self._timers.pop(key).cancel()
