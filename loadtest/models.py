"""200 models in one server with memory for 20: all answer, few loads for alternating access, shared pages of weights.

Each of the 200 models holds 8 MiB. What alternating access costs says models_swaps.py, what ten pods of one large model
weigh models_memory.py.
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
from loadtest import models_bounds, models_swaps
from loadtest.figures import Bar, Figures

MODELS = 200
ROOM = 20
MODEL_MIB = 8
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
        async with _server(folder) as planned, _server(folder, "--min-residency-s", "0") as in_order:
            everyone = await planned.ask_all()
            figures.notes["resident_bytes"] = processes.rss_bytes(planned.pid)
            for name in models_swaps.LISTS:
                for in_flight in models_swaps.IN_FLIGHT:
                    figures.rounds.append(await models_swaps.planned(planned, name, in_flight))
                figures.rounds.append(await models_swaps.first_in_first_out(in_order, name, ROOM))
            most_resident = max(everyone["most_resident"], await planned.metric("model_repository_resident"))
    figures.bars = [
        Bar("models_that_answered", everyone["answered"], "", MODELS, at_least=True),
        Bar("most_resident", most_resident, "", ROOM),
        *models_swaps.bars(figures.rounds),
        *await _memory(figures.notes),
    ]
    figures.notes["no_plan_over_fifo"] = bounds()
    for line in figures.rounds:
        ratio = f", {line['loads_over_fifo']:.2f} of first in, first out" if "loads_over_fifo" in line else ""
        what = f"{line['server']}, {line['list']}, {line['in_flight']} in flight"
        figures.notes[what] = f"{line['loads']} loads{ratio}; p50 {line['p50_ms']} ms, {line['requests_per_s']}/s"
    return figures


def bounds() -> dict[str, float]:
    """Return by list and requests in flight what no plan can do better than, over first in, first out; and, for models
    in random order, what a plan does that only waits."""
    found = {}
    for name, numbers in models_swaps.LISTS.items():
        for in_flight in models_swaps.IN_FLIGHT:
            least = models_bounds.least_loads(numbers, ROOM, in_flight)
            found[f"{name}, {in_flight} in flight"] = round(least / models_swaps.loads_of_fifo(numbers, ROOM), 3)
    mixed = models_swaps.loads_of_fifo(models_swaps.LISTS["mixed"], ROOM)
    for in_flight in models_swaps.IN_FLIGHT:
        patient = models_bounds.loads_of_patience(
            models_swaps.ALTERNATING, models_swaps.REQUESTS, ROOM, in_flight, seed=1
        )
        found[f"mixed, {in_flight} in flight, by waiting alone"] = round(patient / mixed, 3)
    return found


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
        answered = most_resident = 0
        for start in range(0, MODELS, 8):
            group = range(start, min(start + 8, MODELS))
            answered += len(await asyncio.gather(*(self.ask(number) for number in group)))
            most_resident = max(most_resident, await self.metric("model_repository_resident"))
        return {"answered": answered, "most_resident": most_resident}


@contextlib.asynccontextmanager
async def _server(folder: str, *flags: str) -> AsyncIterator[_Server]:
    port = processes.free_port()
    budget = str(ROOM * MODEL_MIB + MODEL_MIB // 2)
    command = [sys.executable, "-m", "runtimes.python", "--model-repository", folder, "--port", str(port)]
    command += ["--model-control", "on-demand", "--allow-code", "true", "--memory-budget-mib", budget]
    timeout = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
    connector = aiohttp.TCPConnector(limit=max(models_swaps.IN_FLIGHT))
    options: dict[str, Any] = {"timeout": timeout, "connector": connector}
    with processes.running([*command, "--log-level", "warning", *flags], port) as pid:
        async with aiohttp.ClientSession(**options) as session:
            yield _Server(session, port, pid)
