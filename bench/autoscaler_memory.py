"""What the autoscaler holds for each revision: `python -m bench.autoscaler_memory KIND REVISIONS ACCOUNT`.

Everything that the process has more of than before the autoscaler was made counts, numpy's arrays at their full length
included; only the objects of the simulated API server are left out: they are made as they are listed, and what it
stores of writes is given back before the reading. Accounts: `traced`, what Python and numpy have in use (tracemalloc),
and `resident`, by how much the process has grown by the kernel's account, after the C library has given back what it
can: holes that lists and the server's objects left behind are in it. Without sockets in both.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autoscaler.demand import Demand
from autoscaler.roster import REST_LIMIT, REST_S
from autoscaler.starts import SAMPLES
from bench.autoscaler_world import NAMESPACE, Autoscaler, SimulatedApi, revision
from loadtest.figures import ROOT

ACTIVE, IDLE, LIVED = KINDS = ("active", "idle", "lived")
"""With a pod and load; at zero since before the autoscaler began; at zero again after a life with a pod under it."""
TRACED, RESIDENT = "traced", "resident"
LIVED_LIMIT = 10_000
"""A life takes all decisions there are, so fewer of them are led."""
WINDOW_S = 65
POKES_AT_ONCE = 100


def memory(revisions: int, kind: str, account: str = TRACED) -> float:
    """Bytes per revision, read in a process of its own."""
    command = [sys.executable, "-m", "bench.autoscaler_memory", kind, str(revisions), account]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600, cwd=ROOT)
    return float(json.loads(done.stdout))


async def grown(revisions: int, kind: str, account: str) -> float:
    """Bytes per revision by which this process has grown."""
    await (await _live(SimulatedApi(10, 0), 10, LIVED)).stop()  # what is loaded and made once
    read = _resident if account == RESIDENT else _traced
    api = SimulatedApi(revisions, int(kind == ACTIVE), is_stored=False)
    gc.collect()
    if account == TRACED:
        tracemalloc.start()
    before = read()
    system = await _live(api, revisions, kind)
    system.api.objects.clear()  # type: ignore[attr-defined]
    gc.collect()
    now = read()
    await system.stop()
    return (now - before) / revisions


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


def _resident() -> int:
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Life:
    """An autoscaler whose clock is led."""

    def __init__(self, api: SimulatedApi) -> None:
        self.now = 1000.5
        self.system = Autoscaler(api, lambda: self.now)

    async def seconds(self, count: int, each: Callable[[], None] = lambda: None) -> None:
        """Let seconds pass."""
        for _ in range(count):
            self.now += 1.0
            each()
            await self.system.loop.tick(self.now)
            await self.system.rest()


async def _live(api: SimulatedApi, revisions: int, kind: str) -> Autoscaler:
    life = Life(api)
    system = life.system
    await system.start()
    if kind == ACTIVE:
        rows = _connect(system.demand, revisions, life.now)
        levels = np.full(len(rows), 2.0)
        await life.seconds(WINDOW_S, lambda: report_all(system.demand, rows, levels, life.now))
    if kind == LIVED:
        await _lead_a_life(life, revisions)
    await life.seconds(3)
    while system.world.is_warm:
        system.world.cool()  # a second each; nothing else happens in them
    return system


async def _lead_a_life(life: Life, revisions: int) -> None:
    system = life.system
    activator = system.activator()
    for number in range(revisions):
        system.world.recall_starts((NAMESPACE, revision(number)), tuple(1.0 + step / 8 for step in range(SAMPLES)))
        activator.data_received(system.poke(number))
        if number % POKES_AT_ONCE == 0:
            await asyncio.sleep(0)
    await system.rest()
    rows = _connect(system.demand, revisions, life.now)
    await life.seconds(2 * WINDOW_S)
    for row in rows:
        system.demand.close(row)
    await life.seconds(int(REST_S) + 2 * (revisions // REST_LIMIT) + 10)
    assert not system.loop.slots, len(system.loop.slots)


def _connect(demand: Demand, revisions: int, now: float) -> list[int]:
    return [demand.open((NAMESPACE, revision(number)), now) for number in range(revisions)]


def report_all(demand: Demand, rows: list[int], levels: np.ndarray, now: float) -> None:
    """One report of each source, written as a batch; what reading them costs is measured apart."""
    at, ones, zeros = np.array(rows), np.ones(len(rows)), np.zeros(len(rows))
    demand.sources._write(at, np.stack([ones * now, ones, levels, zeros, levels * 10, zeros, levels]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(grown(int(sys.argv[2]), sys.argv[1], sys.argv[3]))))
