"""Serves a tiny model once in a template, before pods are forked from it: what a first time makes is then shared.

The first run of a path fills caches, builds descriptors, adapts bytecode; every pod that did so by itself would have
copies of all those pages. Here a whole server starts, answers and ends. It leaves no thread, no descriptor, no model,
no clock and no log handler behind; whether a child of this process still computes is proved by the template.

Must never start a pool of threads in a library: a child would wait for threads that it does not have.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from runtimes.config import Config
from runtimes.frame import Frame
from tidegate.process import logs, settings, start_clock

PROGRAM = "rehearsal"
REQUEST_LIMIT_S = 20.0
THREADS_LIMIT_S = 20.0


def rehearse(make_model: Callable[[Path], None], body: bytes) -> None:
    """Serve the model that `make_model` puts into a folder, and ask it with `body`, V2 JSON; raises what goes wrong."""
    known, threads = set(sys.modules), set(threading.enumerate())
    folder = Path(tempfile.mkdtemp(prefix="tidegate-rehearsal-"))
    try:
        make_model(folder)
        words = ["--model-dir", str(folder), "--port", "0", "--host", "127.0.0.1", "--device", "cpu", "--threads", "1"]
        config = settings.load(Config, program=PROGRAM, argv=[*words, "--allow-code", "true"], environ={})
        _configure_logs()
        # Not the loop that pods run: that one keeps descriptors for good once it was there.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_serve(config, body))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _join(set(threading.enumerate()) - threads)
        start_clock.forget()
        for name in set(sys.modules) - known:
            if name.startswith("tidegate_model_"):
                del sys.modules[name]
        gc.collect()


def _join(threads: set[threading.Thread]) -> None:
    # The server has told its threads to end and does not wait for them; a busy machine lets them run later. Whoever
    # forks this process must find none. One that never ends is left to the check of who forks.
    until = time.monotonic() + THREADS_LIMIT_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _configure_logs() -> None:
    # To set the level looks at every logger there is. Pods find it set to what they will most likely want.
    root = logging.getLogger()
    before = root.handlers[:]
    logs.configure(PROGRAM, Config.log_level)
    root.handlers[:] = before


async def _serve(config: Config, body: bytes) -> None:
    frame = Frame(config)
    await frame.start()
    try:
        async with asyncio.timeout(REQUEST_LIMIT_S):
            await _ask(frame.port, "GET /v2/health/ready", b"")
            await _ask(frame.port, "POST /v2/models/model/infer", body)
            await _ask(frame.port, "GET /v2/models/model/stats", b"")
    finally:
        await frame.close()


async def _ask(port: int, line: str, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{line} HTTP/1.1\r\nHost: rehearsal\r\nContent-Type: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    status = answer.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise RuntimeError(f"{line} was answered {answer[:200]!r}")
