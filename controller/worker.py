"""Works the queue: bounded concurrency, one run per key at a time, a failing key backs off alone.

Read this first: `see`/`forget` mark whom a change concerns, `_reconcile` gathers, decides and performs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from controller import gather, patience, triggers
from controller.apply import Performer
from controller.digests.resolver import Resolver
from controller.gateways import Gateways
from controller.gather import World
from controller.model_credentials import ModelCredentials
from controller.tls.keeper import Keeper
from controller.triggers import Key
from controller.workqueue import WorkQueue
from tidegate.contracts import names
from tidegate.kube.api import Api, ApiError, Object, Resource
from tidegate.process import tasks

log = logging.getLogger(__name__)

RECONCILE_TIMEOUT_S = 30.0
SHORTEST_SLEEP_S = 0.001
"""Clocks round: a timer may ring a hair before what it was set for, and must not be set for no time at all then."""

_reconciles = Counter("tidegate_controller_reconciles_total", "Runs by kind and how they ended", ["kind", "outcome"])
_seconds = Histogram(
    "tidegate_controller_reconcile_seconds",
    "Time of one run, API calls included",
    ["kind"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
_queued = Gauge("tidegate_controller_queue_keys", "Keys that wait, run or back off")


class Worker:
    """Reconciles what changed.

    `concurrency` is the number of keys worked on at once, `wall` gives the time as seconds since 1970, `namespace` is
    where Tidegate itself runs. Without `gateways` nobody is asked for a Route's table.
    """

    def __init__(
        self,
        api: Api,
        world: World,
        concurrency: int,
        wall: Callable[[], float] = time.time,
        namespace: str = names.SYSTEM_NAMESPACE,
        gateways: Gateways | None = None,
    ) -> None:
        self.world = world
        self._wall = wall
        self._performer = Performer(api, world, self.see, self.forget)
        self._credentials = ModelCredentials(api, world)
        self._digests = Resolver(api, world, self.mark)
        self._keeper = Keeper(api, world, namespace, wall)
        self._gateways = gateways
        if gateways is not None:
            world.obstacle, gateways.mark = gateways.obstacle, self.mark
        self._queue: WorkQueue[Key] = WorkQueue()
        self._concurrency = concurrency
        self._running: set[asyncio.Task[Any]] = set()
        self._held = patience.Held[Key]()
        self._wake = asyncio.Event()

    def see(self, resource: Resource, obj: Object) -> None:
        """Take in an object and mark whom it concerns, unless it is no news."""
        metadata = obj["metadata"]
        old = self.world.known.get(resource, metadata.get("namespace", ""), metadata["name"])
        concerned = triggers.concerned(self.world.known, resource, old) if old is not None else set()
        if self.world.known.put(resource, obj):
            self.mark(concerned | triggers.concerned(self.world.known, resource, obj))

    def forget(self, resource: Resource, namespace: str, name: str) -> None:
        """Drop an object that is gone and mark whom it concerned."""
        old = self.world.known.get(resource, namespace, name)
        if old is None:
            return
        concerned = triggers.concerned(self.world.known, resource, old)
        self.world.known.remove(resource, namespace, name)
        self.mark(concerned)

    def mark(self, keys: set[Key]) -> None:
        """Ask for a reconcile of each key."""
        for key in sorted(keys):
            self._queue.mark(key)
        self._wake.set()

    def mark_everything(self) -> None:
        """Ask for a reconcile of all there is."""
        self.mark(triggers.everything(self.world.known))

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return len(self._queue) == 0

    async def run(self) -> None:
        """Work until cancelled."""
        looking = tasks.spawn(self._keeper.run(self.mark), "look at key pairs of others")
        try:
            while True:
                self._wake.clear()
                self._start_ready()
                _queued.set(len(self._queue))
                await self._sleep()
        finally:
            await tasks.cancel(looking, *self._running)
            await self._digests.close()

    def _start_ready(self) -> None:
        while len(self._running) < self._concurrency:
            key = self._queue.take(asyncio.get_running_loop().time())
            if key is None:
                return
            task = tasks.spawn(self._work(key), f"reconcile {key.kind} {key.namespace}/{key.name}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _sleep(self) -> None:
        due = self._queue.next_due()
        timeout_s = None if due is None else max(SHORTEST_SLEEP_S, due - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _work(self, key: Key) -> None:
        clock = asyncio.get_running_loop().time
        started, outcome, requeue_after_s = clock(), "error", 0.0
        target = gather.target(self.world, key)
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                requeue_after_s = await self._reconcile(key, target)
            outcome = "ok"
        except ApiError as error:
            outcome = "overtaken" if error.is_conflict or error.is_not_found else "refused"
            self._report(key, error, is_expected=outcome == "overtaken")
        except TimeoutError as error:
            self._report(key, error, is_expected=False)
        except Exception:
            log.exception("reconcile of %s %s/%s failed", *key)
        finally:
            if outcome == "ok":
                self._queue.succeed(key, clock(), requeue_after_s)
            elif outcome == "overtaken" and gather.target(self.world, key) is not target:
                self._queue.succeed(key, clock())  # what overtook is here already, and has marked the key
            else:
                self._queue.fail(key, clock())
            _reconciles.labels(key.kind, outcome).inc()
            _seconds.labels(key.kind).observe(clock() - started)

    async def _reconcile(self, key: Key, target: Object | None) -> float:
        await self._credentials.look_up(key, target, asyncio.get_running_loop().time())
        self._digests.look_up(key, target)
        await self._keeper.look_up(key, target)
        outcome = gather.decide(self.world, key, self._wall())
        outcome = self._held.hold(key, target, outcome, asyncio.get_running_loop().time())
        await self._performer.perform(key, target, outcome)
        if self._gateways is not None:
            if outcome.awaits_gateways:
                self._gateways.want(key, gather.versions(self.world, key))
            else:
                self._gateways.forget(key)
        return outcome.requeue_after_s

    def _report(self, key: Key, error: Exception, *, is_expected: bool) -> None:
        level = logging.DEBUG if is_expected else logging.WARNING
        log.log(level, "reconcile of %s %s/%s: %s", *key, error or type(error).__name__)
