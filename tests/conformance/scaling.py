"""Load that keeps a number of requests in flight, and the pods that upstream's formula allows meanwhile.

The formula is that of Knative's autoscaling suite: with a target of 6 at 70 % and load for N pods' whole targets,
between floor(before / 0.7) - 1 and ceil(ceil(N / 0.7) * 1.1) pods, and no fewer than N at the end. Only the times are
shorter: a window of 6 s instead of 30.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from loadtest import load
from tests.conformance.world import World
from tidegate.kube import resources

TARGET = 6
UTILIZATION = 0.7
SLEEP_MS = 500
SAMPLE_S = 0.5
SCALE_TIMEOUT_S = 90.0
ZERO_TIMEOUT_S = 120.0


def annotations(**changes: str) -> dict[str, str]:
    """Return autoscaling annotations: target 6 at 70 %, window 6 s, and `changes` with `_` for `-`."""
    wanted = {"target": str(TARGET), "target_utilization_percentage": "70", "window": "6s"} | changes
    return {f"autoscaling.knative.dev/{key.replace('_', '-')}": value for key, value in wanted.items()}


@dataclass
class Bounds:
    """How few and how many pods may be there on the way from `before` pods to load for `after`."""

    before: int
    after: int

    @property
    def least(self) -> int:
        return math.floor(self.before / UTILIZATION) - 1

    @property
    def most(self) -> int:
        return math.ceil(math.ceil(self.after / UTILIZATION) * 1.1)


@contextlib.asynccontextmanager
async def in_flight(world: World, host: str, count: int, path: str = f"/?sleep={SLEEP_MS}") -> AsyncIterator[load.Run]:
    """Keep `count` requests in flight; at the end every one of them must have been answered with 200."""
    run, stopping = load.Run(), asyncio.Event()

    async def worker() -> None:
        connection = load.Connection("127.0.0.1", world.instance.port)
        while not stopping.is_set():
            reply = await connection.request(host, path)
            run.statuses[reply.status] += 1
            if reply.status != 200:
                run.bodies[reply.body[:200]] += 1
                await asyncio.sleep(0.1)
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(worker())
        try:
            yield run
        finally:
            stopping.set()
    assert set(run.statuses) == {200}, (run.statuses, run.bodies)


@contextlib.asynccontextmanager
async def at_rate(world: World, host: str, per_s: float) -> AsyncIterator[load.Run]:
    """Send `per_s` requests a second, each for itself; every one must be answered with 200."""
    run, stopping = load.Run(), asyncio.Event()

    async def one() -> None:
        run.statuses[(await world.ask(host)).status] += 1

    async def clock() -> None:
        begin, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not stopping.is_set():
                group.create_task(one())
                sent += 1
                await asyncio.sleep(max(0.0, begin + sent / per_s - time.monotonic()))

    task = asyncio.ensure_future(clock())
    try:
        yield run
    finally:
        stopping.set()
        await task
    assert set(run.statuses) == {200}, run.statuses


async def reaches(world: World, revision: str, bounds: Bounds, hold_s: float = 0.0) -> None:
    """Wait until the load's pods are there, within the bounds at every sample, and stay for `hold_s`."""
    deadline, reached_at, seen = time.monotonic() + SCALE_TIMEOUT_S, 0.0, []
    while not reached_at or time.monotonic() < reached_at + hold_s:
        count = await world.ready_pods(revision)
        seen.append(count)
        assert max(bounds.least, bounds.after if reached_at else 0) <= count <= bounds.most, (bounds, seen)
        if count >= bounds.after and not reached_at:
            reached_at = time.monotonic()
        assert reached_at or time.monotonic() < deadline, (bounds, seen)
        await asyncio.sleep(SAMPLE_S)


async def at_zero(world: World, revision: str, timeout_s: float = ZERO_TIMEOUT_S) -> None:
    """Wait until a revision has no pod that stays."""

    async def check() -> bool:
        return not await world.pods(revision)

    await world.until(f"{revision} is at zero", check, timeout_s)


async def mode(world: World, revision: str) -> str:
    """Return the serving mode: `Proxy` when the activator is in the path of requests, `Serve` when it is not."""
    found = await world.instance.client.get(resources.POD_AUTOSCALERS, revision, world.namespace)
    return str((found.get("status") or {}).get("servingMode", ""))


async def has_mode(world: World, revision: str, wanted: str, timeout_s: float = 90.0) -> None:
    """Wait for a serving mode."""

    async def check() -> bool:
        return await mode(world, revision) == wanted

    await world.until(f"{revision} is in mode {wanted}", check, timeout_s)


async def addresses(world: World, revision: str) -> set[str]:
    """Return the ready addresses of a revision's private Service."""
    slices = await world.all(resources.ENDPOINT_SLICES, f"serving.knative.dev/revision={revision}")
    return {
        address
        for one in slices
        for endpoint in one.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready")
        for address in endpoint["addresses"]
    }
