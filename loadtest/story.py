"""The demo: one service's life on this machine, told step by step with measured figures.

Each step returns its line of the story; it raises `Broken` (or any error) when what it claims did not happen. The
steps are in
`loadtest/chapters.py`; here they are run in order, timed, printed, and everything is taken down at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtest import chapters, tools
from loadtest.figures import commit, machine
from loadtest.instance import UP_TIMEOUT_S, Instance, free_port
from tidegate.kube import connect
from tidegate.kube.client import Client

STEP_TIMEOUT_S = 150.0

Chapter = Callable[[Instance], Awaitable[chapters.Told]]


@dataclass
class Step:
    """One told step: number, title, seconds it took, whether it held, its line and figures."""

    number: int
    title: str
    seconds: float
    held: bool
    line: str
    figures: dict[str, Any] = field(default_factory=dict)


class Narrator:
    """Prints steps as they happen, and keeps them for `--json`."""

    def __init__(self, *, quiet: bool) -> None:
        self.steps: list[Step] = []
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Print one line, unless only JSON is wanted."""
        if not self._quiet:
            print(text, flush=True)

    async def tell(self, title: str, work: Awaitable[chapters.Told]) -> bool:
        """Await one step, print how it ended, and return whether it held."""
        number = len(self.steps) + 1
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                told = await work
            step = Step(number, title, time.perf_counter() - begin, True, told.line, told.figures)
        except Exception as error:
            reason = str(error) or type(error).__name__
            step = Step(number, title, time.perf_counter() - begin, False, reason)
        self.steps.append(step)
        mark = "ok  " if step.held else "FAIL"
        self.say(f"{mark} {number:2}. {title} ({step.seconds:.1f} s)\n         {step.line}")
        return step.held


async def tell(*, as_json: bool = False) -> int:
    """Run the story; returns the process's exit code."""
    narrator = Narrator(quiet=as_json)
    for line in tools.missing():
        narrator.say(f"note: {line}")
    begin = time.perf_counter()
    state = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    instance = Instance(state, free_port())
    marker = f"TIDEGATE_NODE_STATE={state}"
    try:
        if await narrator.tell("tidegate up", _up(instance)):
            await _tell_chapters(narrator, instance)
    finally:
        await narrator.tell("tidegate down: nothing is left behind", _down(instance, marker))
    seconds = time.perf_counter() - begin
    held = all(step.held for step in narrator.steps)
    narrator.say(f"\n{'every step held' if held else 'NOT every step held'}; the whole story took {seconds:.0f} s")
    if as_json:
        document = {
            "commit": commit(),
            "machine": machine(),
            "rounds": [asdict(step) for step in narrator.steps],
            "bars": [
                {
                    "name": "story",
                    "value": round(seconds, 1),
                    "unit": "s",
                    "limit": 240,
                    "holds": held and seconds <= 240,
                }
            ],
        }
        print(json.dumps(document, indent=2))
    return 0 if held else 1


async def _tell_chapters(narrator: Narrator, instance: Instance) -> None:
    async with Client(connect.load(instance.kubeconfig), user_agent="demo") as client:
        instance.client = client
        for title, chapter in chapters.CHAPTERS:
            await narrator.tell(title, chapter(instance))


async def _up(instance: Instance) -> chapters.Told:
    begin = time.perf_counter()
    await asyncio.to_thread(instance.tidegate, "up", "--port", str(instance.port), timeout_s=UP_TIMEOUT_S)
    seconds = time.perf_counter() - begin
    return chapters.Told(
        f"API server, process node, controller, autoscaler, activator and gateway are ready after {seconds:.1f} s; "
        f"gateway on http://127.0.0.1:{instance.port}",
        {"up_s": round(seconds, 2)},
    )


async def _down(instance: Instance, marker: str) -> chapters.Told:
    await asyncio.to_thread(instance.tidegate, "down", timeout_s=UP_TIMEOUT_S)
    await asyncio.to_thread(_check_nothing_left, instance, marker)
    return chapters.Told("no process, no open port, no temporary file")


def _check_nothing_left(instance: Instance, marker: str) -> None:
    shutil.rmtree(instance.state)
    left = processes_with(marker, str(instance.state))
    chapters.check(not left, f"processes are left: {left}")
    with socket.socket() as probe:
        open_still = probe.connect_ex(("127.0.0.1", instance.port)) == 0
    chapters.check(not open_still, f"port {instance.port} is still open")
    files = [str(path) for path in Path(tempfile.gettempdir()).glob(f"*{instance.state.name}*")]
    chapters.check(not files, f"files are left: {files}")


def processes_with(marker: str, state: str) -> list[str]:
    """Return processes with `marker` in their environment or `state` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = (entry / "environ").read_bytes().decode(errors="replace")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in environ.split("\0") or state in command:
            found.append(f"{entry.name} {command}")
    return found
