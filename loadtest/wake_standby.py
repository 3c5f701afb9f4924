"""Wakes of a service with a standby pod beside wakes of the same service without one, by turns, and what a pod weighs.

The request is the service's first real work (an inference for a model). With a standby pod nothing has to start before
it is answered. The weight is what all processes of the instance gain when every copy gets its standby pod.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from loadtest import load, wake_compare
from loadtest.figures import Bar, Figures, percentile
from loadtest.instance import Instance, eventually
from loadtest.wake import GRACE, deploy, settle
from tidegate.cli import memory
from tidegate.contracts import autoscaling_extensions, names
from tidegate.kube import resources

COPIES = 3
LIMIT_MS = 50.0
SETTLE_S = 3.0
READY_TIMEOUT_S = 60.0


async def measure(instance: Instance, service: str, wakes: int) -> Figures:
    """Wake `service` (an example's name) `wakes` times in each of the two ways."""
    figures = Figures()
    await instance.configure("config-autoscaler", {"scale-to-zero-grace-period": GRACE})
    hosts = {"cold": await deploy(instance, service, [f"cold-{number}" for number in range(COPIES)])}
    hosts["standby"] = await deploy(instance, service, [f"standby-{number}" for number in range(COPIES)])
    for name in [*hosts["cold"], *hosts["standby"]]:
        await settle(instance, name)
    figures.notes["standby_pod_pss_mb"] = await _weigh(instance, list(hosts["standby"]))
    for number in range(wakes):
        for way, known in hosts.items():
            name = list(known)[number % COPIES]
            entry = await _wake(instance, service, name, known[name])
            figures.rounds.append({"kind": "wake", "way": way, **entry})
            print(f"wake {number + 1}/{wakes} {way}: {entry}", file=sys.stderr, flush=True)
    _summarise(figures)
    return figures


async def ready_standby_pods(instance: Instance, revision: str) -> int:
    """Return how many standby pods of a revision its activators can use."""
    labels = f"{names.STANDBY_LABEL}={revision}"
    deployments = (await instance.client.list(resources.DEPLOYMENTS, "default", labels)).items
    return sum(int((one.get("status") or {}).get("readyReplicas") or 0) for one in deployments)


async def stand_by(instance: Instance, service: str, pods: int) -> None:
    """Give the latest revision of a service this many standby pods, and wait for them."""
    revision = await instance.revision_of(service)
    change = {"metadata": {"annotations": {autoscaling_extensions.STANDBY_PODS: str(pods)}}}
    await instance.client.patch(resources.REVISIONS, revision, change, "default")

    async def are_there() -> bool:
        return await ready_standby_pods(instance, revision) == pods

    await eventually(are_there, READY_TIMEOUT_S, f"{revision} has {pods} standby pods", poll_s=0.1)


async def _weigh(instance: Instance, services: list[str]) -> float:
    """Give each service its standby pod; return what one adds to the proportional memory of all processes, in MB."""
    await asyncio.sleep(SETTLE_S)
    before = _pss_mb(instance)
    for service in services:
        await stand_by(instance, service, 1)
    await asyncio.sleep(SETTLE_S)
    return round((_pss_mb(instance) - before) / len(services), 1)


def _pss_mb(instance: Instance) -> float:
    return sum(process.pss_bytes for process in memory.tree(instance.supervisor_pid())) / 1e6


async def _wake(instance: Instance, service: str, name: str, host: str) -> dict[str, Any]:
    await settle(instance, name)
    method, target, body = wake_compare.WORK.get(service, ("GET", "/", b""))
    begin = time.perf_counter()
    reply = await load.get(instance.port, host, target, method=method, body=body)
    total_ms = (time.perf_counter() - begin) * 1e3
    return {
        "status": reply.status,
        "first_byte_ms": round(reply.first_byte_s * 1e3, 2),
        "total_ms": round(total_ms, 2),
    }


def _summarise(figures: Figures) -> None:
    def times(way: str) -> list[float]:
        return [entry["first_byte_ms"] for entry in figures.rounds if entry["way"] == way]

    standby, cold = percentile(times("standby"), 0.5), percentile(times("cold"), 0.5)
    lost = sum(entry["status"] != 200 for entry in figures.rounds)
    figures.bars = [Bar("standby_wake_p50", standby, "ms", LIMIT_MS), Bar("lost_requests", lost, "", 0)]
    figures.notes |= {
        "cold_over_standby_p50": round(cold / standby, 1),
        "standby_p95_ms": percentile(times("standby"), 0.95),
        "cold_p50_ms": cold,
        "cold_p95_ms": percentile(times("cold"), 0.95),
    }
