"""Ten pods of one model of 100 MB: how much memory they take together (they are forked and map its file, as on a node).

Counted is the proportional share (PSS) of all processes, template included: a page that ten processes map counts once.
Every pod answers once before it is weighed, so that each has touched all the weights. Growth is against the template
that is there anyway; what ten pods with a model of a few bytes take is measured in the same run and told beside it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from cluster.node.forkserver import ForkServer
from cluster.node.images import RUNTIME_IMPORTS
from cluster.node.process import Command, Process, terminate
from loadtest.figures import Bar
from loadtest.instance import free_port
from tidegate.cli import memory
from tidegate.process import tasks

PODS = 10
WIDTH = 1024
LAYERS = 25
START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0
MODULE = "runtimes.torch"
CODE = f"""
from torch import nn


class Net(nn.Module):
    def __init__(self, layers={LAYERS}):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear({WIDTH}, {WIDTH}) for _ in range(layers)))

    def forward(self, x):
        return self.layers(x)
"""
MAKE = """
import sys
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
import model
save_file(model.Net(int(sys.argv[2])).state_dict(), sys.argv[1] + "/model.safetensors")
"""
SETTINGS = '{"name": "m", "parameters": {"extra": {"class": ":Net", "arguments": {"layers": LAYERS}}}}'


async def measure() -> tuple[list[Bar], dict[str, Any]]:
    """Return the bars and what was weighed (half a minute). Raises RuntimeError when a server does not start."""
    with tempfile.TemporaryDirectory() as folder:
        server = ForkServer([], folder)
        running = tasks.spawn(server.run(), "fork server")
        try:
            small = await _pods(server, Path(folder) / "small", layers=0)
            large = await _pods(server, Path(folder) / "large", layers=LAYERS)
        finally:
            await tasks.cancel(running)
    model_mb = large["model_mb"]
    large["growth_of_empty_pods_mb"] = small["growth_mb"]
    bars = [
        Bar("memory", large["growth_mb"] / model_mb, "models", 2.0),
        Bar("memory_of_the_weights_alone", (large["growth_mb"] - small["growth_mb"]) / model_mb, "models", 2.0),
    ]
    return bars, large


async def _pods(server: ForkServer, folder: Path, layers: int) -> dict[str, Any]:
    size = await asyncio.to_thread(_make, folder, layers)
    ports = [free_port() for _ in range(PODS)]
    template = await _template(server, folder, ports[0])
    before = _pss(template)
    started: list[Process] = []
    out = os.open(os.devnull, os.O_WRONLY)
    try:
        for port in ports:
            started.append(await server.fork(_command(folder, port, out)))
        loads = [await _asked(port) for port in ports]
        after = _pss(template)
        for process in started:
            assert memory.weigh(process.pid, 0) is not None, "a pod ended while it was weighed"
    finally:
        os.close(out)
        for process in started:
            await terminate(process, STOP_LIMIT_S)
    return {
        "model_mb": size / 1e6,
        "pods": PODS,
        "template_mb": before / 1e6,
        "growth_mb": (after - before) / 1e6,
        "load_ms": sorted(round(seconds * 1e3, 1) for seconds in loads),
    }


async def _template(server: ForkServer, folder: Path, port: int) -> int:
    """Return the pid of the template; it is made by asking for it once."""
    command = _command(folder, port)
    try:
        process = await server.fork(command)
        await terminate(process, STOP_LIMIT_S)
    except Exception:
        await server.wait_ready(modules=command.preload)
    return server.template_of(command)[0].pid


def _pss(root: int) -> int:
    return sum(weight.pss_bytes for weight in memory.tree(root))


def _make(folder: Path, layers: int) -> int:
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    (folder / "model-settings.json").write_text(SETTINGS.replace("LAYERS", str(layers)))
    subprocess.run([sys.executable, "-c", MAKE, str(folder), str(layers)], check=True, timeout=START_LIMIT_S)
    return (folder / "model.safetensors").stat().st_size


def _command(folder: Path, port: int, out: int = 2) -> Command:
    argv = [sys.executable, "-m", MODULE, "--model-dir", str(folder), "--port", str(port), "--allow-code", "true"]
    argv += ["--threads", "1", "--device", "cpu"]
    return Command(argv, {"PATH": os.environ["PATH"]}, str(folder), out, out, preload=RUNTIME_IMPORTS["torch"])


async def _asked(port: int) -> float:
    """Ask a pod once, as soon as it answers; return how long its load took, in seconds."""
    base = f"http://127.0.0.1:{port}/v2/models/model"
    rows = {"inputs": [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": [1.0] * WIDTH}]}
    until = time.monotonic() + START_LIMIT_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=START_LIMIT_S)) as session:
        while True:
            try:
                async with session.post(f"{base}/infer", json=rows) as answer:
                    if answer.status != 200:
                        raise RuntimeError(f"a pod answered {answer.status}: {await answer.text()}")
                break
            except aiohttp.ClientConnectionError:
                if time.monotonic() > until:
                    raise RuntimeError(f"a pod did not answer within {START_LIMIT_S:.0f} s") from None
                await asyncio.sleep(0.02)
        async with session.get(f"{base}/stats") as answer:
            return float((await answer.json())["model_stats"][0]["load_ns"]) / 1e9
