"""What the autoscaler costs: decisions, reports, memory, the way from a first report to a patched scale.

Decisions and reports are measured as CPU time of this process, so that neighbours on the machine count for little; the
wake path is wall time. Memory is read in processes of their own (`autoscaler_memory`).
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np

from autoscaler import state
from autoscaler.demand import Demand
from autoscaler.fleet_turn import Turn
from bench import autoscaler_memory
from bench.autoscaler_api import cold_starts_with_server
from bench.autoscaler_memory import LIVED, RESIDENT, TRACED, report_all
from bench.autoscaler_world import NAMESPACE, Autoscaler, SimulatedApi, revision
from loadtest.figures import Bar, Figures, percentile
from tidegate.contracts import report
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity
from tidegate.contracts.report import Report, Reports
from tidegate.process import run, tasks

DECISION_LIMIT_US = 1.0
INGEST_LIMIT = 200_000
ACTIVE_LIMIT_BYTES = 2048
IDLE_LIMIT_BYTES = 300
WAKE_LIMIT_MS = 10.0
COLD_STARTS_LIMIT = 2_500
TICKS = 5
CHUNK = 1000
SECONDS_BETWEEN = 60.0
"""By the senders' clocks, between two reports: no pause of this process makes one stale."""
WAKE_REVISIONS = 10_000
WAKES = 1_000
COLD_STARTS = 10_000
WITH_SERVER = 1_000

SPECS = (
    ScalingSpec(),
    ScalingSpec(target=7.0, total=10.0, target_burst_capacity=-1.0),
    ScalingSpec(metric="rps", target=105.0, total=150.0),
    ScalingSpec(min_scale=1, max_scale=20, scale_down_delay_s=30.0),
)

Say = Callable[[str], None]
T = TypeVar("T")


def measure(revisions: int, rounds: int, say: Say, *, with_memory: bool = True) -> Figures:
    """Measure everything; rounds are independent, the bars hold the medians. Memory does not vary and is read once."""
    figures = Figures()
    if with_memory:
        _judge_memory(figures, revisions, say)
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        figures.rounds.append(
            {
                "decision": decision_cost(revisions),
                "ingest": ingest_rates(revisions),
                "wake_ms": _run(wakes()),
                "cold_starts": _run(cold_starts()),
                "cold_starts_with_server": _run(cold_starts_with_server(WITH_SERVER)),
            }
        )
    if rounds:
        _judge(figures)
    return figures


def _judge_memory(figures: Figures, revisions: int, say: Say) -> None:
    in_use: dict[str, int] = {}
    for kind in autoscaler_memory.KINDS:
        count = min(revisions, autoscaler_memory.LIVED_LIMIT) if kind == LIVED else revisions
        for account in (TRACED, RESIDENT):
            say(f"memory of {count} revisions: {kind}, {account}")
            in_use[f"{kind}_{account}"] = round(autoscaler_memory.memory(count, kind, account))
    figures.bars += [
        Bar("memory_active_bytes", in_use["active_traced"], "B", ACTIVE_LIMIT_BYTES),
        Bar("memory_idle_bytes", in_use["idle_traced"], "B", IDLE_LIMIT_BYTES),
    ]
    figures.notes["memory_per_revision_bytes"] = in_use
    figures.notes["memory_lived_revisions"] = min(revisions, autoscaler_memory.LIVED_LIMIT)


def _run(main: Coroutine[Any, Any, T]) -> T:
    """Run as the autoscaler's process does: on the same kind of event loop."""
    with asyncio.Runner(loop_factory=run.loop_factory()) as runner:
        return runner.run(main)


def _judge(figures: Figures) -> None:
    def middle(*path: str) -> float:
        values = []
        for one in figures.rounds:
            value: Any = one
            for name in path:
                value = value[name]
            values.append(float(value))
        return sorted(values)[len(values) // 2]

    figures.bars += [
        Bar("decision_us_per_revision", middle("decision", "us_per_revision"), "us", DECISION_LIMIT_US),
        Bar("ingest_one_frame_per_report", middle("ingest", "single_per_s"), "/s", INGEST_LIMIT, at_least=True),
        Bar("ingest_many_reports_per_frame", middle("ingest", "batched_per_s"), "/s", INGEST_LIMIT, at_least=True),
        Bar("wake_p99_ms", middle("wake_ms", "p99"), "ms", WAKE_LIMIT_MS),
        Bar("cold_starts_per_s", middle("cold_starts", "per_cpu_s"), "/s", COLD_STARTS_LIMIT, at_least=True),
    ]
    figures.notes["cold_starts_per_s_with_local_api_server"] = round(middle("cold_starts_with_server", "patched_per_s"))


def fleet(revisions: int, *, is_active: bool) -> tuple[Demand, list[int]]:
    """Return a fleet of its own, without an API server, and a source per revision when active."""
    demand, rows, now = Demand(), [], 1000.0
    for number in range(revisions):
        key = (NAMESPACE, revision(number))
        memory = state.fresh(now) if is_active else _asleep(now)
        demand.configure(key, SPECS[number % len(SPECS) if is_active else 0], memory)
        if is_active:
            rows.append(demand.open(key, now))
    return demand, rows


def _asleep(now: float) -> state.Memory:
    return state.restored(
        now, activity=Activity.INACTIVE, activity_age_s=3600.0, is_initialized=True, serving_mode=None
    )


def decision_cost(revisions: int) -> dict[str, float]:
    """CPU time of a tick of two seconds: two seconds of load recorded, one decision each."""
    demand, rows = fleet(revisions, is_active=True)
    draw = np.random.default_rng(1)
    ready = draw.integers(1, 5, revisions)
    for slot in range(revisions):
        demand.fleet.see(slot, ready_pods=int(ready[slot]), current_scale=int(ready[slot]))
    now, news, decided, spent_s = 1000.5, 0, 0, 0.0
    level = draw.uniform(0.0, 300.0, revisions)
    for tick in range(35 + TICKS):
        is_measured = tick >= 35  # the windows are full then
        for _ in range(2):
            now += 1.0
            report_all(demand, rows, level * draw.uniform(0.9, 1.1, revisions), now)
            began = time.process_time()
            demand.record(now)
            spent_s += (time.process_time() - began) * is_measured
        began, obeyed_s = time.process_time(), 0.0
        waiting, silent = demand.waiting_by_slot(now), demand.silent_slots()
        for turn in demand.fleet.turn(now, demand.as_of(now), waiting, silent):
            if is_measured:
                news += len(turn.news)
                decided += len(turn.slots)
            pause = time.process_time()
            _obey(demand, turn)
            obeyed_s += time.process_time() - pause
        spent_s += (time.process_time() - began - obeyed_s) * is_measured
    assert decided == revisions * TICKS, decided
    return {"us_per_revision": spent_s / decided * 1e6, "share_with_news": news / decided}


def _obey(demand: Demand, turn: Turn) -> None:
    """Let pods follow what was decided, as they would with a little delay."""
    columns = demand.fleet.state.columns
    for row in turn.news.tolist():
        slot = int(turn.slots[row])
        pods = max(0, int(columns["desired"][slot]))
        if columns["current_scale"][slot] != pods:
            demand.fleet.see(slot, current_scale=pods, ready_pods=pods)


def ingest_rates(revisions: int) -> dict[str, float]:
    """Reports per second of CPU: each in a frame of its own from its own connection, and a thousand to a frame."""
    return _run(_ingest_rates(revisions))


async def _ingest_rates(revisions: int) -> dict[str, float]:
    # Without the API objects: decisions are not part of it, and connections are cheap here.
    system = Autoscaler(SimulatedApi(0, 0))
    connections = [system.queueproxy(number) for number in range(revisions)]
    single_s = batched_s = 0.0
    for second in range(1, 4):
        frames = [report.encode(_reading(number, second)) for number in range(revisions)]
        gc.collect()
        began = time.process_time()
        for connection, frame in zip(connections, frames, strict=True):
            connection.data_received(frame)
        system.demand.record(1000.0 + second)
        single_s += time.process_time() - began
    activator = system.activator()
    for second in range(1, 4):
        stream = b"".join(
            report.encode(Reports([_reading(number, second * revisions + number) for number in range(first, last)]))
            for first, last in _chunks(revisions)
        )
        gc.collect()
        began = time.process_time()
        activator.data_received(stream)
        system.demand.record(1010.0 + second)
        batched_s += time.process_time() - began
    assert system.ingest.counts["taken"] == 6 * revisions, system.ingest.counts
    return {"single_per_s": 3 * revisions / single_s, "batched_per_s": 3 * revisions / batched_s}


def _reading(number: int, sequence: int) -> Report:
    return Report(
        NAMESPACE, revision(number), sequence, 1.0003, 2.125, 0.5, 10, 2, 3, False, SECONDS_BETWEEN * sequence
    )


def _chunks(count: int) -> list[tuple[int, int]]:
    return [(first, min(count, first + CHUNK)) for first in range(0, count, CHUNK)]


async def wakes() -> dict[str, float]:
    """Milliseconds from the bytes of a first report to the patch of the scale, while all others are decided too."""
    api = SimulatedApi(WAKE_REVISIONS, 0)
    system = Autoscaler(api)
    await system.start()
    run.freeze_start_up()
    activator = system.activator()
    poked: dict[str, float] = {}
    took_ms: list[float] = []

    def patched(name: str) -> None:
        took_ms.append((time.perf_counter() - poked[name]) * 1e3)

    api.patched = patched
    turning = tasks.spawn(system.loop.run(), "turns")
    draw = random.Random(1)
    for number in draw.sample(range(WAKE_REVISIONS), WAKES):
        await asyncio.sleep(draw.expovariate(200.0))
        poked[revision(number)] = time.perf_counter()
        activator.data_received(system.poke(number))
    await system.rest()
    await tasks.cancel(turning)
    await system.stop()
    assert len(took_ms) >= WAKES, len(took_ms)
    return {name: percentile(took_ms, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


async def cold_starts() -> dict[str, float]:
    """First reports of many revisions at once: scales patched per second, and all of them told ready per second."""
    api = SimulatedApi(COLD_STARTS, 0)
    system = Autoscaler(api)
    await system.start()
    run.freeze_start_up()  # as the process does before its first turn
    activator = system.activator()
    all_patched, patched = asyncio.Event(), 0

    def count(_name: str) -> None:
        nonlocal patched
        patched += 1
        if patched == COLD_STARTS:
            all_patched.set()

    api.patched = count
    began, began_cpu = time.perf_counter(), time.process_time()
    for number in range(COLD_STARTS):
        activator.data_received(system.poke(number))
        if number % 100 == 99:
            await asyncio.sleep(0)
    await all_patched.wait()
    patched_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    await system.rest()
    settled_s = time.perf_counter() - began
    await system.stop()
    gc.unfreeze()
    return {
        "per_cpu_s": COLD_STARTS / cpu_s,
        "patched_per_s": COLD_STARTS / patched_s,
        "settled_per_s": COLD_STARTS / settled_s,
    }
