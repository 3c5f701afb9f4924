"""What pods and nodes use, as the nodes tell: processor cores between two looks, and bytes of memory.

Each node is asked only while somebody wants to know, and at most every `FRESH_S` seconds; it decides nothing. The
autoscalers and metrics.k8s.io share one `Meter`, so they speak of the same figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.kube.api import ApiError, Object

FRESH_S = 2.0
STALE_S = 30.0
"""Longer ago, the look before is no beginning for a figure of now."""
FIRST_WINDOW_S = 1.0

Ask = Callable[[str], Awaitable[Object]]
"""Returns the `/stats/summary` of a node by its name; raises `ApiError`."""


class Amount(NamedTuple):
    """Cores (of the time since the look before) and bytes."""

    cpu: float
    memory: float


@dataclass
class Look:
    """What one node told last, and when: monotonic seconds, and Unix seconds for people."""

    at: float = float("-inf")
    unix_s: float = 0.0
    window_s: float = 0.0
    """since the look before; 0 for a first one, which has no amounts"""
    cpu_s: dict[tuple[str, ...], float] = field(default_factory=dict)
    """by (namespace, pod, container); of the whole node by ()"""
    containers: dict[tuple[str, str], dict[str, Amount]] = field(default_factory=dict)
    node: Amount | None = None

    @property
    def amounts(self) -> dict[tuple[str, str], Amount]:
        """What each pod uses."""
        return {
            key: Amount(sum(one.cpu for one in found.values()), sum(one.memory for one in found.values()))
            for key, found in self.containers.items()
        }


class Meter:
    """Remembers one look per node."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._nodes: dict[str, Look] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        """by node: one that does not answer must not hold up those who ask others"""

    async def amounts(self, nodes: Iterable[str]) -> dict[tuple[str, str], Amount]:
        """Return what the pods (namespace, name) of these nodes use; a pod seen for the first time is not among them,
        nor are those of a node that does not tell. Raises `ApiError` when none does."""
        names = list(nodes)
        answers = await asyncio.gather(*map(self._locked_look, names), return_exceptions=True)
        found: dict[tuple[str, str], Amount] = {}
        errors: list[BaseException] = []
        for answer in answers:
            if isinstance(answer, Look):
                found |= answer.amounts
            else:
                errors.append(answer)
        for error in errors:
            if len(errors) == len(names) or not isinstance(error, ApiError):
                raise error
        return found

    async def _locked_look(self, node: str) -> Look:
        async with self._lock(node):
            return await self._look(node)

    def _lock(self, node: str) -> asyncio.Lock:
        return self._asking.setdefault(node, asyncio.Lock())

    async def look(self, node: str) -> Look:
        """Return the last look at a node, with amounts: the first time that takes `FIRST_WINDOW_S`. Raises
        `ApiError` when it does not tell."""
        async with self._lock(node):
            found = await self._look(node)
            if not 0 < found.window_s <= STALE_S:
                await asyncio.sleep(FIRST_WINDOW_S)
                found = await self._look(node, FIRST_WINDOW_S / 2)
            return found

    async def _look(self, name: str, fresh_s: float = FRESH_S) -> Look:
        before = self._nodes.setdefault(name, Look())
        if time.monotonic() - before.at < fresh_s:
            return before
        document = await self._ask(name)
        after = self._nodes[name] = seen(before, document, time.monotonic(), time.time())
        return after


def seen(before: Look, document: Object, now: float, unix_s: float = 0.0) -> Look:
    """Return the look at a node at `now` (monotonic seconds), given the one before."""
    is_first = before.at == float("-inf")
    after = Look(now, unix_s, 0.0 if is_first else now - before.at)
    for pod in document.get("pods") or []:
        key = pod["podRef"]["namespace"], pod["podRef"]["name"]
        is_known = any(one[:2] == key for one in before.cpu_s)
        for container in pod.get("containers") or []:
            amount = _amount(before, after, (*key, container["name"]), container)
            if is_known:
                after.containers.setdefault(key, {})[container["name"]] = amount
    node: Object = document.get("node") or {}
    if "cpu" in node:
        amount = _amount(before, after, (), node)
        after.node = None if is_first else amount
    return after


def _amount(before: Look, after: Look, key: tuple[str, ...], told: Object) -> Amount:
    spent_s = after.cpu_s[key] = int(told["cpu"]["usageCoreNanoSeconds"]) / 1e9
    # A container that started anew begins at nothing.
    cores = max(0.0, spent_s - before.cpu_s.get(key, 0.0)) / after.window_s if after.window_s else 0.0
    return Amount(cores, float(told["memory"]["workingSetBytes"]))
