"""Many services at zero, called at once: how long until each has answered, while all start on the same few cores."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from loadtest import load
from loadtest.figures import Bar, Figures, percentile
from loadtest.instance import Instance
from loadtest.wake import GRACE, deploy, settle

LIMIT_S = 2.0
"""Knative with containers on this class of machine: 25 services woken at once answered within 7.9 s (p95)."""


async def measure(instance: Instance, service: str, services: int, rounds: int) -> Figures:
    """Wake `services` copies of an example at once, `rounds` times."""
    figures = Figures()
    await instance.configure("config-autoscaler", {"scale-to-zero-grace-period": GRACE})
    hosts = await deploy(instance, service, [f"many-{number:02d}" for number in range(services)])
    for number in range(rounds):
        entry = await _round(instance, hosts)
        figures.rounds.append(entry)
        shown = {key: value for key, value in entry.items() if key != "seconds"}
        print(f"round {number + 1}/{rounds}: {shown}", file=sys.stderr, flush=True)
    figures.bars = [
        Bar("many_wakes_p95", percentile([entry["p95_s"] for entry in figures.rounds], 0.5), "s", LIMIT_S),
        Bar("many_wakes_not_200", sum(entry["not_200"] for entry in figures.rounds), "", 0),
    ]
    figures.notes = {
        "services": services,
        "p50_s": percentile([entry["p50_s"] for entry in figures.rounds], 0.5),
        "worst_p95_s": max(entry["p95_s"] for entry in figures.rounds),
        "slowest_s": max(entry["slowest_s"] for entry in figures.rounds),
    }
    return figures


async def _round(instance: Instance, hosts: dict[str, str]) -> dict[str, Any]:
    for name in hosts:
        await settle(instance, name)

    async def ask(host: str) -> tuple[float, int]:
        begin = time.perf_counter()
        reply = await load.get(instance.port, host)
        return time.perf_counter() - begin, reply.status

    replies = await asyncio.gather(*(ask(host) for host in hosts.values()))
    seconds = sorted(seconds for seconds, _ in replies)
    return {
        "kind": "many",
        "not_200": sum(status != 200 for _, status in replies),
        "p50_s": round(percentile(seconds, 0.5), 3),
        "p95_s": round(percentile(seconds, 0.95), 3),
        "slowest_s": round(seconds[-1], 3),
        "seconds": [round(value, 3) for value in seconds],
    }
