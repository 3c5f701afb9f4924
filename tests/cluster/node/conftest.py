"""A process node in this process: a scripted API server, a state folder and loopback addresses of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.node import agent, images, probes, reaper, splice, template_link
from cluster.node.addresses import Addresses, Ports
from cluster.node.agent import Agent
from cluster.node.context import Context
from cluster.node.forkserver import ForkServer
from cluster.node.splice import Splicer
from cluster.node.tokens import Tokens
from tests.support import loopback
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import Object
from tidegate.process import tasks

_numbers = itertools.count(1)


class World:
    """The node under test and its far end."""

    def __init__(self, folder: Path, fork_server: ForkServer | None = None) -> None:
        self.api = FakeApi()
        self.folder = folder
        net = f"127.{loopback.octet()}.{next(_numbers) % 120 * 2}.0/24"
        self.context = Context(
            node_name="n1",
            root=folder / "node",
            state=str(folder / "node"),
            server="https://127.0.0.1:6443",
            ca_pem="PEM",
            log_limit_bytes=1 << 20,
            catalog=images.BUILT_IN,
            allocatable={"cpu": "2", "memory": "1Gi"},
            api=self.api,
            tokens=Tokens(self.api),
            addresses=Addresses(net),
            ports=Ports(loopback.octet() * 97),
            splicer=Splicer(),
            fork_server=fork_server,
        )
        self.agent = Agent(self.context)

    async def run(self, pod: Object) -> Object:
        """Create a pod bound to the node."""
        pod = {**pod, "spec": {"nodeName": "n1", **pod["spec"]}}
        return await self.api.create(resources.PODS, pod, "default")

    def pod(self, name: str = "p") -> Object:
        """Return the pod as stored."""
        found = self.api.peek(resources.PODS, name, "default")
        assert found is not None, f"pod {name} is gone"
        return found

    def container(self, name: str = "p", index: int = 0) -> Any:
        """Return the status of one container."""
        statuses = (self.pod(name).get("status") or {}).get("containerStatuses") or [{}]
        return statuses[index]

    def condition(self, kind: str, name: str = "p") -> str:
        """Return the status of a condition."""
        found = (self.pod(name).get("status") or {}).get("conditions") or []
        return next((one["status"] for one in found if one["type"] == kind), "")

    def waiting(self, name: str = "p") -> Any:
        """Return why a container waits; empty while that is not told."""
        found = (self.container(name).get("state") or {}).get("waiting") or {}
        return found if found.get("message") else {}

    def pause_over(self, name: str = "p", left_s: float = 0.0) -> None:
        """Let the pause before the container's next start end in `left_s` seconds."""
        worker = self.agent.worker("default", name)
        assert worker is not None
        record = worker.record_of("c")
        assert record is not None
        record.not_before = time.monotonic() + left_s
        worker.update(self.pod(name))

    def log(self, name: str = "p", container: str = "c", run: int = 0) -> str:
        """Return a container's stored log."""
        path = self.context.root / "pods" / self.pod(name)["metadata"]["uid"] / "logs" / container / f"{run}.log"
        return path.read_text() if path.exists() else ""

    def output(self, name: str = "p", container: str = "c", run: int = 0) -> list[str]:
        """Return what a container wrote, by line."""
        return [line.split(" ", 3)[3] for line in self.log(name, container, run).splitlines()]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
        """Wait for a condition of the far end."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not in time; pods: {self.api.all(resources.PODS)}") from None


def pod(*command: str, name: str = "p", container: Object | None = None, **spec: Any) -> Object:
    """Return a pod of one container `c`."""
    one = {"name": "c", "image": "any", **({"command": list(command)} if command else {}), **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [one], "terminationGracePeriodSeconds": 5, **spec},
    }


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is about a template, process or connection that takes too long: a machine that stalls is waited for."""
    monkeypatch.setattr(template_link, "FORK_TIMEOUT_S", 30.0)
    monkeypatch.setattr(splice, "CONNECT_TIMEOUT_S", 30.0)
    monkeypatch.setattr(agent, "KILL_WAIT_S", 30.0)
    monkeypatch.setattr(probes, "REAP_TIMEOUT_S", 30.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.agent.start()
    yield made
    await made.agent.stop()
    await made.context.splicer.close()
    # A killed grandchild is gone only when init has reaped it.
    await made.until(lambda: not list(reaper.marked(reaper.STATE_VARIABLE, made.context.state)))
    await come_to_rest()


async def come_to_rest() -> None:
    """Wait for what a stopped node has told to end, and has not waited for: a probe's process is still to be reaped."""
    ours = [one for one in asyncio.all_tasks() if one.get_name().startswith(("attend-", "liveness-", "stop-"))]
    if ours:
        await asyncio.wait(ours, timeout=30)
    await tasks.cancel(*[one for one in asyncio.all_tasks() if one.get_name().startswith(("event-", "status-"))])
