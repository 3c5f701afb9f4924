"""What pods use, as their nodes tell: processor cores between two looks, and bytes of memory.

Each node is asked only while somebody wants to know, and at most every `FRESH_S` seconds; it decides nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.kube.api import Object

FRESH_S = 2.0

Ask = Callable[[str], Awaitable[Object]]
"""Returns the `/stats/summary` of a node by its name; raises `ApiError`."""


class Amount(NamedTuple):
    """Cores (of the time since the look before) and bytes."""

    cpu: float
    memory: float


@dataclass
class Look:
    """What one node told last, and when."""

    at: float = float("-inf")
    cpu_s: dict[tuple[str, str], float] = field(default_factory=dict)
    amounts: dict[tuple[str, str], Amount] = field(default_factory=dict)


class Meter:
    """Remembers one look per node."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._nodes: dict[str, Look] = {}
        self._asking = asyncio.Lock()

    async def amounts(self, nodes: Iterable[str]) -> dict[tuple[str, str], Amount]:
        """Return what the pods (namespace, name) of these nodes use; a pod seen for the first time is not among them.
        Raises `ApiError` when a node does not tell."""
        found: dict[tuple[str, str], Amount] = {}
        async with self._asking:
            for name in nodes:
                node = self._nodes.setdefault(name, Look())
                if time.monotonic() - node.at >= FRESH_S:
                    document = await self._ask(name)
                    node = self._nodes[name] = seen(node, document, time.monotonic())
                found |= node.amounts
        return found


def seen(before: Look, document: Object, now: float) -> Look:
    """Return the look at a node at `now` (monotonic seconds), given the one before."""
    after = Look(now)
    for pod in document.get("pods") or []:
        key = pod["podRef"]["namespace"], pod["podRef"]["name"]
        containers = pod.get("containers") or []
        spent_s = sum(int(one["cpu"]["usageCoreNanoSeconds"]) for one in containers) / 1e9
        memory = sum(int(one["memory"]["workingSetBytes"]) for one in containers)
        after.cpu_s[key] = spent_s
        if key in before.cpu_s:
            # A container that started anew begins at nothing.
            cpu = max(0.0, spent_s - before.cpu_s[key]) / (now - before.at)
            after.amounts[key] = Amount(cpu, float(memory))
    return after
