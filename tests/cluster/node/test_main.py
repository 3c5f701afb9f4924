"""`python -m cluster.node` as a process, against a real API server with its controllers: kill -9, come back, stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from cluster.api.__main__ import serving
from cluster.config import ApiConfig
from cluster.node import reaper
from tests.support import loopback
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.cache import Cache
from tidegate.kube.client import Client
from tidegate.process import tasks

pytestmark = pytest.mark.slow
OCTET = loopback.octet()
SCRIPT = "setsid sleep 65 & echo up; exec sleep 66"


class Node:
    """The node's process."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        folder = ["--state", str(self._state), "--kubeconfig", str(self._state / "kubeconfig")]
        token = ["--kubelet-token-file", str(self._state / "token")]
        argv = [sys.executable, "-m", "cluster.node", *folder, "--pod-cidr", f"127.{OCTET}.0.0/17", *token, *flags]
        with open(self._state / "node.log", "ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    state = tmp_path / "state"
    state.mkdir()
    (state / "token").write_text("kubelet-secret")
    config = ApiConfig(state=str(state), service_cidr=f"127.{OCTET}.128.0/17", kubelet_token_file=str(state / "token"))
    async with serving(config), Client(connect.load(state / "kubeconfig")) as made:
        yield made


@pytest.fixture
async def node(tmp_path: Path, client: Client) -> AsyncIterator[Node]:
    made = Node(tmp_path / "state")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        await asyncio.to_thread(made.end, signal.SIGTERM)
    marker = str(tmp_path / "state" / "node")
    await until(lambda: not list(reaper.marked(reaper.STATE_VARIABLE, marker)))


@pytest.fixture
async def pods(client: Client) -> AsyncIterator[Cache]:
    cache = Cache(client, resources.PODS, "default")
    task = tasks.spawn(cache.run(), "pods")
    yield cache
    await tasks.cancel(task)


def deployment(**spec: object) -> Object:
    labels = {"app": "web"}
    container = {"name": "c", "image": "none", "command": ["sh", "-c", SCRIPT]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


async def until(condition: Callable[[], object], timeout_s: float = 40.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def escaped(marker: str) -> set[int]:
    """Return the processes that have left the session of their container."""
    found = set()
    for pid in reaper.marked(reaper.STATE_VARIABLE, marker):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0065\0":
                found.add(pid)
    return found


def ready(pods: Cache, restarts: int = 0) -> list[Object]:
    """Return the ready pods with that many restarts."""

    def fits(pod: Object) -> bool:
        status = pod.get("status") or {}
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
        counts = [one["restartCount"] for one in status.get("containerStatuses") or []]
        return is_ready and counts == [restarts]

    return [pod for pod in pods.objects.values() if fits(pod)]


async def test_pods_survive_a_killed_node_and_processes_do_not(
    client: Client, node: Node, pods: Cache, tmp_path: Path
) -> None:
    marker = str(tmp_path / "state" / "node")
    await client.create(resources.DEPLOYMENTS, deployment())
    await until(lambda: len(ready(pods)) == 2)
    # A pod is ready when its process runs, which then has to leave its session.
    await until(lambda: len(escaped(marker)) == 2)
    before = {pod["metadata"]["uid"]: pod["status"]["podIP"] for pod in ready(pods)}
    assert all(address.startswith(f"127.{OCTET}.0.") for address in before.values())
    node.end(signal.SIGKILL)
    await until(lambda: len(list(reaper.marked(reaper.STATE_VARIABLE, marker))) <= 2)
    orphans = set(reaper.marked(reaper.STATE_VARIABLE, marker))
    assert orphans == escaped(marker), "what had left its session is still there"
    assert len(orphans) == 2
    node.start()
    await until(lambda: len(ready(pods, restarts=1)) == 2)
    assert {pod["metadata"]["uid"]: pod["status"]["podIP"] for pod in ready(pods, restarts=1)} == before
    await until(lambda: not orphans & set(reaper.marked(reaper.STATE_VARIABLE, marker)))
    # An orderly stop is complete, and leaves the objects.
    assert await asyncio.to_thread(node.end, signal.SIGTERM) == 0
    await until(lambda: not list(reaper.marked(reaper.STATE_VARIABLE, marker)))
    assert len(pods.objects) == 2


async def test_logs_through_the_api_server_and_a_service_by_its_cluster_ip(
    client: Client, node: Node, pods: Cache
) -> None:
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080, bind='127.0.0.1')"
    body = deployment(replicas=1)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["python", "-c", serve.replace("8080", "int(__import__('os').environ['PORT'])")]
    container["ports"] = [{"containerPort": 8080, "name": "http"}]
    container["env"] = [{"name": "PORT", "value": "8080"}]
    container["readinessProbe"] = {"httpGet": {"port": "http"}}
    await client.create(resources.DEPLOYMENTS, body)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    metadata = {"name": "web", "namespace": "default"}
    service = await client.create(resources.SERVICES, {"metadata": metadata, "spec": spec})
    await until(lambda: ready(pods))
    url = f"http://{service['spec']['clusterIP']}/"
    async with aiohttp.ClientSession() as http, asyncio.timeout(40):
        while True:
            try:
                async with http.get(url) as response:
                    assert response.status == 200
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
    name = ready(pods)[0]["metadata"]["name"]
    log = await client.raw("GET", f"/api/v1/namespaces/default/pods/{name}/log", params={"tailLines": "1"})
    assert b"GET / HTTP/1.1" in log


async def test_a_tainted_node_takes_only_who_tolerates_it(client: Client, node: Node, pods: Cache) -> None:
    await until_node(client, "local")
    node.end(signal.SIGTERM)
    node.start("--name", "guest", "--taint", "true", "--labels", "zone=edge")
    await until_node(client, "guest")
    await client.delete(resources.NODES, "local")
    tolerant = deployment()
    tolerant["metadata"]["name"] = "tolerant"
    spec = tolerant["spec"]["template"]["spec"]
    spec["tolerations"] = [{"key": "tidegate.dev/process-node", "operator": "Exists"}]
    spec["nodeSelector"] = {"zone": "edge"}
    await client.create(resources.DEPLOYMENTS, deployment(replicas=1))
    await client.create(resources.DEPLOYMENTS, tolerant)
    await until(lambda: len(ready(pods)) == 2)
    assert {pod["spec"]["nodeName"] for pod in ready(pods)} == {"guest"}
    await until(lambda: [pod for pod in unscheduled(pods) if pod.get("status", {}).get("conditions")])
    (pending,) = unscheduled(pods)
    assert "untolerated taint" in pending["status"]["conditions"][0]["message"]


def unscheduled(pods: Cache) -> list[Object]:
    return [pod for pod in pods.objects.values() if not pod["spec"].get("nodeName")]


async def until_node(client: Client, name: str) -> None:
    async with asyncio.timeout(40):
        while True:
            try:
                found = await client.get(resources.NODES, name)
                if (found.get("status") or {}).get("conditions"):
                    return
            except ApiError:
                pass
            await asyncio.sleep(0.02)
