"""No orphan survives a node that was killed: its direct children die with it, the rest at the next start."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster.node import reaper

NODE = """
import asyncio, os, sys
from cluster.node.process import Command, start_plain

async def main():
    env = {"PATH": os.environ["PATH"], "TIDEGATE_NODE_STATE": sys.argv[1]}
    script = "setsid sleep 63 & echo $$ $!; exec sleep 64"
    start_plain(Command(["sh", "-c", script], env, "/", 1, 2))
    await asyncio.sleep(60)

asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.005)


def wait_running(pid: int, *words: str) -> None:
    """Wait until the process has become that command: on its way there it has no environment for a moment."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").read_bytes() != b"".join(word.encode() + b"\0" for word in words):
        assert time.monotonic() < deadline, f"{pid} is not {words}"
        time.sleep(0.005)


def test_children_die_with_the_node_and_grandchildren_are_reaped(tmp_path: Path) -> None:
    state = str(tmp_path)
    node = subprocess.Popen([sys.executable, "-c", NODE, state], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    child, grandchild = map(int, node.stdout.readline().split())
    with node:
        wait_running(child, "sleep", "64")
        wait_running(grandchild, "sleep", "63")
        assert set(reaper.marked(reaper.STATE_VARIABLE, state)) == {child, grandchild}
        node.send_signal(signal.SIGKILL)
        node.wait()
        wait_gone(child)
        assert is_running(grandchild)
        assert reaper.kill_marked(reaper.STATE_VARIABLE, state) == 1
        wait_gone(grandchild)
    assert reaper.kill_marked(reaper.STATE_VARIABLE, state) == 0


def test_only_the_exact_value_is_meant(tmp_path: Path) -> None:
    env = {**os.environ, reaper.STATE_VARIABLE: f"{tmp_path}/other"}
    with subprocess.Popen(["sleep", "60"], env=env) as other:
        try:
            wait_running(other.pid, "sleep", "60")
            assert not list(reaper.marked(reaper.STATE_VARIABLE, str(tmp_path)))
            assert list(reaper.marked(reaper.STATE_VARIABLE, f"{tmp_path}/other")) == [other.pid]
        finally:
            other.kill()
