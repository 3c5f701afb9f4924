"""Alternating access to 40 models with memory for 20: how many loads the swap plan needs, beside first in, first out.

Both servers get the same list of requests with the same memory. First in, first out is the same server asked for one
request after the other, in order, without residency: the least recently used model goes. (What it loads is also
computed from the list; both must agree.) The planned server has `in_flight` requests at a time; the next of the list
comes when one is answered. The fewer are in flight, the less there is to put together: so each number is told.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from loadtest.figures import Bar, percentile

ALTERNATING = 40
REQUESTS = 2000
IN_FLIGHT = (10, 40, 200)
PROMISED = 40
LIMIT = 0.25
LONGEST_WAIT_S = 10.0

LISTS = {
    "turns": [number % ALTERNATING for number in range(REQUESTS)],
    "mixed": random.Random(7).choices(range(ALTERNATING), k=REQUESTS),
}
"""A B C ... A B C, and the same models in random order."""


class Server(Protocol):
    """A server of many models."""

    async def ask(self, number: int) -> float:
        """Ask a model; return the seconds it took."""
        ...

    async def metric(self, name: str) -> int:
        """Return one of its metrics."""
        ...


def loads_of_fifo(numbers: Sequence[int], room: int) -> int:
    """Return the loads that serving strictly in order costs when the least recently used of `room` models goes."""
    memory: OrderedDict[int, None] = OrderedDict()
    loads = 0
    for number in numbers:
        loads += number not in memory
        memory[number] = None
        memory.move_to_end(number)
        if len(memory) > room:
            memory.popitem(last=False)
    return loads


async def planned(server: Server, name: str, in_flight: int) -> dict[str, Any]:
    """Send a list with so many requests in flight; return what it cost."""
    return await _measured(server, name, in_flight) | {"server": "planned"}


async def first_in_first_out(server: Server, name: str, room: int) -> dict[str, Any]:
    """Send a list one by one. Raises RuntimeError when the loads are not those of the rule."""
    line = await _measured(server, name, 1) | {"server": "fifo"}
    # What is in memory from before may spare some of the first ones.
    wanted = loads_of_fifo(LISTS[name], room)
    if not wanted - room <= line["loads"] <= wanted:
        raise RuntimeError(f"first in, first out loaded {line['loads']} times for {name}, its rule says {wanted}")
    return line


def bars(rounds: Sequence[dict[str, Any]]) -> list[Bar]:
    """Set the ratio of each planned round beside its first in, first out; return the bars of what is promised."""
    fifo = {line["list"]: line["loads"] for line in rounds if line["server"] == "fifo"}
    ours = [line for line in rounds if line["server"] == "planned"]
    for line in ours:
        line["loads_over_fifo"] = round(line["loads"] / fifo[line["list"]], 3)
    made = [
        Bar(f"swaps_over_fifo_{line['list']}_{line['in_flight']}_in_flight", line["loads_over_fifo"], "x", LIMIT)
        for line in ours
        if line["in_flight"] >= PROMISED
    ]
    longest = max(line["longest_ms"] for line in ours)
    return [*made, Bar("longest_wait", longest / 1e3, "s", LONGEST_WAIT_S)]


async def _measured(server: Server, name: str, in_flight: int) -> dict[str, Any]:
    rest = iter(LISTS[name])
    times: list[float] = []

    async def client() -> None:
        for number in rest:
            times.append(await server.ask(number))

    before, began = await server.metric("model_repository_loads_total"), time.monotonic()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    took_s = time.monotonic() - began
    loads = await server.metric("model_repository_loads_total") - before
    return {
        "list": name,
        "in_flight": in_flight,
        "requests": REQUESTS,
        "loads": loads,
        "requests_per_s": round(REQUESTS / took_s),
        "p50_ms": round(percentile(times, 0.5) * 1e3, 1),
        "p99_ms": round(percentile(times, 0.99) * 1e3, 1),
        "longest_ms": round(max(times) * 1e3, 1),
    }
