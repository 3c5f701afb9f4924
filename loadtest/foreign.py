"""A cluster that is not ours: somebody's by kubeconfig, or a bare control plane that the process node joins.

What only `tidegate up` can do (its command line, its processes, its folder) has no meaning there; asking for it raises
`NotHere`. The second kind is made of separate processes as a user would start them, without the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cluster.instance import hold_octet
from loadtest.figures import ROOT
from loadtest.instance import COMMAND_TIMEOUT_S, Instance, free_port
from tidegate.cli import install
from tidegate.kube import connect
from tidegate.kube.client import Client

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.02


class NotHere(Exception):
    """This can be asked of an instance of `tidegate up` only; the message says what."""


class Foreign(Instance):
    """A cluster by its kubeconfig, with a gateway at 127.0.0.1:`port`; `state` is a folder for our own files."""

    def __init__(self, state: Path, port: int, kubeconfig: Path) -> None:
        super().__init__(state, port)
        self._kubeconfig = kubeconfig

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that was given."""
        return self._kubeconfig

    def tidegate(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Raise `NotHere`: the command works on a state folder."""
        raise NotHere(f"`tidegate {arguments[0]}` works on a local instance, and this is another cluster")

    def supervisor_pid(self) -> int:
        """Raise `NotHere`: nobody supervises."""
        raise NotHere("the processes of a local instance are looked at, and this is another cluster")


@contextlib.asynccontextmanager
async def bare_cluster(folder: Path, node: str) -> AsyncIterator[Foreign]:
    """Run a strict API server and, with credentials of its own, a tainted process node of the name `node`; apply the
    overlay `process-node`. Yields the cluster when all components are available; ends both processes at the end."""
    state = folder / "control-plane"
    octet, holder = hold_octet(folder, 0)
    cluster = Foreign(folder, free_port(), state / "kubeconfig")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        api = ("--state", str(state), "--service-cidr", f"127.{octet}.128.0/17", "--strict", "true")
        processes.append(_start(folder, "cluster.api", *api))
        await _file(cluster.kubeconfig, processes[0])
        own = folder / f"{node}.kubeconfig"
        rights = ("--kubeconfig", str(cluster.kubeconfig), "--name", node, "--output", str(own))
        await cluster.command(sys.executable, "-m", "cluster.node.join", *rights)
        joined = ("--state", str(folder / node), "--kubeconfig", str(own), "--name", node)
        processes.append(
            _start(folder, "cluster.node", *joined, "--pod-cidr", f"127.{octet}.0.0/17", "--taint", "true")
        )
        async with Client(connect.load(cluster.kubeconfig), user_agent="loadtest") as client:
            cluster.client = client
            await _install(cluster)
            yield cluster
    finally:
        # The node first: it ends its pods while the API server is still there to be told.
        await asyncio.to_thread(_end, processes)
        holder.close()


async def _install(cluster: Foreign) -> None:
    await install.apply(cluster.client, install.local_instance(f"127.0.0.1:{cluster.port}"))
    overlay = ROOT / "manifests" / "overlays" / "process-node"
    await cluster.command("kubectl", "apply", "--server-side", "-k", str(overlay))
    await install.wait_available(cluster.client, START_TIMEOUT_S)


def _start(folder: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / f"{module}.log").open("wb") as log:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)


async def _file(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not path.exists():  # noqa: ASYNC240  # a local file, looked at now and then
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the API server did not start (exit status {process.poll()})")
        await asyncio.sleep(POLL_S)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def can_join() -> str:
    """Return why this machine cannot run `bare_cluster`, empty when it can."""
    return "" if shutil.which("kubectl") else "kubectl is not installed, and applies the overlay"
