"""How long a wake takes beyond the app's own start, how soon a burst asks for a pod, and what an idle service costs.

The app's own start is measured in the same run, alternating with the wakes: the same command started alone, until its
first byte. Several copies of the service take turns, so that each goes to zero by itself (short window and grace)
while the others are measured.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest import load, wake_services, waterfall
from loadtest.figures import Bar, Figures, percentile
from loadtest.instance import Instance, free_port
from tidegate.cli import memory

COPIES = 5
WINDOW = "6s"
GRACE = "1s"
BURST = 50
OWN_START_TIMEOUT_S = 30.0
EVENT_TIMEOUT_S = 15.0


async def measure(instance: Instance, service: str, wakes: int, bursts: int) -> Figures:
    """Measure `wakes` single wakes and `bursts` bursts of `service` (an example's name)."""
    figures = Figures()
    await instance.configure("config-autoscaler", {"scale-to-zero-grace-period": GRACE})
    memory_note = await _idle_memory(instance, service)
    hosts = await deploy(instance, service, [f"wake-{number}" for number in range(COPIES)])
    for number in range(wakes):
        name = list(hosts)[number % COPIES]
        figures.rounds.append(await _wake(instance, service, name, hosts[name]))
        _progress(f"wake {number + 1}/{wakes}", figures.rounds[-1])
    for number in range(bursts):
        name = list(hosts)[number % COPIES]
        figures.rounds.append(await _burst(instance, name, hosts[name]))
        _progress(f"burst {number + 1}/{bursts}", figures.rounds[-1])
    _summarise(figures, memory_note)
    return figures


async def own_start(service: str) -> float:
    """Return the seconds from starting the example alone until the first byte of its first answer."""
    port = free_port()
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *wake_services.command(service),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - begin < OWN_START_TIMEOUT_S:
            reply = await load.get(port, "localhost")
            if reply.status:
                return time.perf_counter() - begin
            await asyncio.sleep(0.002)
        raise TimeoutError(f"{service} alone did not answer within {OWN_START_TIMEOUT_S:g} s")
    finally:
        process.kill()
        await process.wait()


async def deploy(
    instance: Instance, service: str, names: Sequence[str], annotations: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Deploy copies of an example that go to zero soon; return their hosts by name once all are Ready."""
    wanted = {"autoscaling.knative.dev/window": WINDOW, **(annotations or {})}
    for name in names:
        document = wake_services.document(service, name, wanted)
        document["metadata"]["namespace"] = "default"
        await instance.apply(document)
    for name in names:
        await instance.wait_service_ready(name)
    return {name: f"{name}.default.localhost" for name in names}


async def _wake(instance: Instance, service: str, name: str, host: str) -> dict[str, Any]:
    await settle(instance, name)
    own_s = await own_start(service)
    begin = time.perf_counter()
    reply = await load.get(instance.port, host)
    total_s = time.perf_counter() - begin
    return {
        "kind": "wake",
        "status": reply.status,
        "first_byte_ms": round(reply.first_byte_s * 1e3, 2),
        "total_ms": round(total_s * 1e3, 2),
        "own_start_ms": round(own_s * 1e3, 2),
        "ours_ms": round((reply.first_byte_s - own_s) * 1e3, 2),
        "phases_ms": waterfall.read(reply),
    }


async def _burst(instance: Instance, name: str, host: str) -> dict[str, Any]:
    await settle(instance, name)
    revision = await instance.revision_of(name)
    sent_unix_s = time.time()
    replies = await load.burst(instance.port, host, requests=BURST)
    arrived = min(
        wake["arrived_unix_s"]
        for wake in await instance.admin("gateway", "/wakes")
        if wake["revision"] == revision and wake["arrived_unix_s"] >= sent_unix_s
    )
    requested = await _first_request_for_a_pod(instance, revision, sent_unix_s)
    return {
        "kind": "burst",
        "requests": len(replies),
        "lost": sum(reply.status != 200 for reply in replies),
        "slowest_ms": round(max(reply.first_byte_s for reply in replies) * 1e3, 2),
        "reaction_ms": round((requested - arrived) * 1e3, 2),
    }


async def _first_request_for_a_pod(instance: Instance, revision: str, since_unix_s: float) -> float:
    deadline = time.monotonic() + EVENT_TIMEOUT_S
    while time.monotonic() < deadline:
        for decision in await instance.admin("autoscaler", f"/decisions/default/{revision}"):
            if decision["patched_unix_s"] >= since_unix_s and decision["desired"] > 0:
                return float(decision["patched_unix_s"])
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the autoscaler recorded no request for a pod of {revision}")


async def settle(instance: Instance, name: str) -> None:
    """Wait until a service is at zero and its last pod's processes are gone."""
    await instance.wait_zero(await instance.revision_of(name))
    # The last process of the pod must be gone too, so that it does not share the cores with the wake.
    await asyncio.sleep(0.3)


async def _idle_memory(instance: Instance, service: str) -> dict[str, Any]:
    document = wake_services.document(service, "idle", {"autoscaling.knative.dev/window": WINDOW})
    document["metadata"]["namespace"] = "default"
    await instance.apply(document)
    await instance.wait_service_ready("idle")
    await instance.wait_zero(await instance.revision_of("idle"))
    await asyncio.sleep(1.0)
    processes = memory.tree(instance.supervisor_pid())
    return {
        "rss_mb": sum(process.rss_bytes for process in processes) / 1e6,
        "pss_mb": sum(process.pss_bytes for process in processes) / 1e6,
        "processes": {
            f"{one.pid} {one.command[-60:]}": f"rss {one.rss_bytes / 1e6:.0f} pss {one.pss_bytes / 1e6:.0f}"
            for one in processes
        },
    }


def _summarise(figures: Figures, idle: dict[str, Any]) -> None:
    wakes = [entry for entry in figures.rounds if entry["kind"] == "wake"]
    bursts = [entry for entry in figures.rounds if entry["kind"] == "burst"]
    lost = sum(entry["status"] != 200 for entry in wakes) + sum(entry["lost"] for entry in bursts)
    ours = [entry["ours_ms"] for entry in wakes]
    figures.bars = [
        Bar("wake_overhead_p50", percentile(ours, 0.5), "ms", 250),
        Bar("reaction_p50", percentile([entry["reaction_ms"] for entry in bursts], 0.5), "ms", 20),
        Bar("idle_memory", idle["rss_mb"], "MB", 450),
        Bar("lost_requests", lost, "", 0),
    ]
    figures.notes = {
        "wake_overhead_p95_ms": percentile(ours, 0.95),
        "first_byte_p50_ms": percentile([entry["first_byte_ms"] for entry in wakes], 0.5),
        "own_start_p50_ms": percentile([entry["own_start_ms"] for entry in wakes], 0.5),
        "phases_p50_ms": waterfall.medians(entry["phases_ms"] for entry in wakes),
        "idle_memory_pss_mb": round(idle["pss_mb"], 1),
        "processes": idle["processes"],
    }


def _progress(what: str, entry: dict[str, Any]) -> None:
    detail = ", ".join(f"{key} {value}" for key, value in entry.items() if key != "kind")
    print(f"{what}: {detail}", file=sys.stderr, flush=True)
