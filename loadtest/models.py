"""200 models in one server with memory for 20: all answer, and alternating access loads few of them.

The same clients ask two servers: one with the swap plan, and one without residency, where the first request for a
model that is not there pushes out the least recently used one at once (first come, first served; those that wait for
one model share its load there too). Each model holds 8 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from bench import processes
from loadtest.figures import Bar, Figures, percentile

MODELS = 200
ROOM = 20
MODEL_MIB = 8
ALTERNATING = 40
CLIENTS = 64
REQUESTS_OF_EACH = 60
REQUEST_LIMIT_S = 60.0
CODE = f"""
import numpy as np


class Model:
    def load(self):
        self.weights = np.ones({MODEL_MIB} << 20, dtype=np.uint8)

    def memory_bytes(self):
        return self.weights.nbytes

    def predict(self, inputs):
        return inputs["instances"] + self.weights[:1]
"""


def measure() -> Figures:
    """Measure and return the figures (about two minutes). Raises RuntimeError when the server does not start."""
    return asyncio.run(_measure())


async def _measure() -> Figures:
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(MODELS):
            (Path(folder) / f"m{number}" / "1").mkdir(parents=True)
            (Path(folder) / f"m{number}" / "1" / "model.py").write_text(CODE)
        async with _server(folder) as planned:
            everyone = await planned.ask_all()
            loads, waits = await planned.alternate()
            figures.notes["resident_bytes"] = processes.rss_bytes(planned.pid)
        async with _server(folder, "--min-residency-s", "0") as served_in_turn:
            loads_in_turn, waits_in_turn = await served_in_turn.alternate()
    figures.bars = [
        Bar("models_that_answered", everyone["answered"], "", MODELS, at_least=True),
        Bar("most_resident", max(everyone["most_resident"], planned.most_resident), "", ROOM),
        Bar("swaps_over_first_come", loads / max(loads_in_turn, 1), "x", 0.25),
    ]
    figures.bars += await _memory(figures.notes)
    requests = CLIENTS * REQUESTS_OF_EACH
    for name, count, seconds in (("planned", loads, waits), ("first_come", loads_in_turn, waits_in_turn)):
        line = {"server": name, "requests": requests, "loads": count}
        line |= {"p50_ms": percentile(seconds, 0.5) * 1e3, "p99_ms": percentile(seconds, 0.99) * 1e3}
        figures.rounds.append(line)
        figures.notes[name] = f"{count} loads for {requests} requests, p99 {line['p99_ms']:.0f} ms"
    return figures


async def _memory(notes: dict[str, Any]) -> list[Bar]:
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("safetensors") is None:
        notes["memory"] = "not measured: torch and safetensors are not installed"
        return []
    from loadtest import models_memory

    bars, notes["memory"] = await models_memory.measure()
    return bars


class _Server:
    """One server under test, and what is asked of it."""

    def __init__(self, session: aiohttp.ClientSession, port: int, pid: int) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{port}"
        self.pid = pid
        self.most_resident = 0

    async def ask(self, number: int) -> float:
        """Ask a model; return how long it took in seconds. Raises RuntimeError for a wrong answer."""
        began = time.monotonic()
        url = f"{self._base}/v1/models/m{number}:predict"
        async with self._session.post(url, json={"instances": [41]}) as answer:
            document = await answer.json()
        if document != {"predictions": [42]}:
            raise RuntimeError(f"m{number} answered {answer.status} {document}")
        return time.monotonic() - began

    async def metric(self, name: str) -> int:
        """Return one of the repository's metrics."""
        async with self._session.get(f"{self._base}/metrics") as answer:
            found = re.search(rf"^{name} (\d+)$", await answer.text(), re.MULTILINE)
        assert found is not None, f"the server shows no {name}"
        return int(found[1])

    async def ask_all(self) -> dict[str, int]:
        """Ask every model once, eight at a time; count the answers and the most that were in memory."""
        answered = 0
        for start in range(0, MODELS, 8):
            group = range(start, min(start + 8, MODELS))
            answered += len(await asyncio.gather(*(self.ask(number) for number in group)))
            self.most_resident = max(self.most_resident, await self.metric("model_repository_resident"))
        return {"answered": answered, "most_resident": self.most_resident}

    async def alternate(self) -> tuple[int, list[float]]:
        """Let all clients go round the same models, each from another start; return loads and times."""
        before = await self.metric("model_repository_loads_total")
        clients = [self._go_round(first) for first in range(CLIENTS)]
        times = [each for one in await asyncio.gather(*clients) for each in one]
        self.most_resident = max(self.most_resident, await self.metric("model_repository_resident"))
        return await self.metric("model_repository_loads_total") - before, times

    async def _go_round(self, first: int) -> list[float]:
        return [await self.ask((first + step) % ALTERNATING) for step in range(REQUESTS_OF_EACH)]


@contextlib.asynccontextmanager
async def _server(folder: str, *flags: str) -> AsyncIterator[_Server]:
    port = processes.free_port()
    budget = str(ROOM * MODEL_MIB + MODEL_MIB // 2)
    command = [sys.executable, "-m", "runtimes.python", "--model-repository", folder, "--port", str(port)]
    command += ["--model-control", "on-demand", "--allow-code", "true", "--memory-budget-mib", budget]
    timeout = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    options: dict[str, Any] = {"timeout": timeout, "connector": connector}
    with processes.running([*command, "--log-level", "warning", *flags], port) as pid:
        async with aiohttp.ClientSession(**options) as session:
            yield _Server(session, port, pid)
