"""`kubectl exec`, `run -i`, `top` and `port-forward` against a real API server and node, by every kubectl.

One local cluster without Tidegate on it for all tests of the file; the pod is a small HTTP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import kubectls
from tidegate.kube import connect, resources
from tidegate.kube.api import Object
from tidegate.kube.client import Client, wait_ready

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes
    from kubernetes.stream import portforward, stream

pytestmark = pytest.mark.slow

INSTALLED = shutil.which("kubectl")
BINARIES = [*([Path(INSTALLED)] if INSTALLED else []), *kubectls.present()]
SERVER = (
    "import http.server, os, socketserver; "
    "socketserver.ThreadingTCPServer((os.environ['IP'], 8099), http.server.SimpleHTTPRequestHandler).serve_forever()"
)
"""Not an HTTPServer: that one asks for the name of its address, of a name server that may not be there."""
POD: Object = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "any",
                "command": [sys.executable, "-c", SERVER],
                "env": [
                    {"name": "COLOUR", "value": "blue"},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "ports": [{"containerPort": 8099}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8099}},
            }
        ]
    },
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exec") / "state"
    folder.mkdir()
    supervisor = subprocess.Popen([sys.executable, "-m", "cluster", "--state", str(folder)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 40
        while not (folder / "kubeconfig").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        asyncio.run(_start_pod(folder))
        yield folder
    finally:
        supervisor.terminate()
        supervisor.wait(50)


async def _start_pod(folder: Path) -> None:
    async with Client(connect.load(folder / "kubeconfig")) as client:
        await wait_ready(client, 30)
        async with asyncio.timeout(40):
            while not await _has(client, resources.SERVICE_ACCOUNTS):
                await asyncio.sleep(0.02)
            await client.create(resources.PODS, POD)
            while not await _is_ready(client):
                await asyncio.sleep(0.02)


async def _has(client: Client, resource: object) -> bool:
    return bool((await client.list(resources.SERVICE_ACCOUNTS, "default")).items)


async def _is_ready(client: Client) -> bool:
    pod = await client.get(resources.PODS, "web", "default")
    conditions = pod["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Kubectl:
    """One kubectl binary against the cluster of this file."""

    def __init__(self, binary: Path, state: Path) -> None:
        self.binary = binary
        self._command = (str(binary), f"--kubeconfig={state / 'kubeconfig'}", f"--cache-dir={state / binary.name}")

    def run(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    @contextlib.asynccontextmanager
    async def forwarding(self, ports: str) -> AsyncIterator[int]:
        """Forward a free local port as long as the block lasts; yields it."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "port-forward",
            "pod/web",
            ports,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
            yield int(line.split("127.0.0.1:")[1].split()[0])
        finally:
            with contextlib.suppress(ProcessLookupError):  # some versions end when a connection fails
                process.terminate()
            await process.communicate()


@pytest.fixture(params=BINARIES, ids=lambda path: path.name)
def kubectl(request: pytest.FixtureRequest, state: Path) -> Kubectl:
    return Kubectl(request.param, state)


def test_exec_has_the_containers_world_and_tells_how_it_ended(kubectl: Kubectl) -> None:
    script = "echo out $COLOUR; echo err >&2; exit 3"
    code, out, err = kubectl.run("exec", "web", "--", "sh", "-c", script)
    assert (code, out) == (3, b"out blue\n")
    assert b"err\n" in err
    assert kubectl.run("exec", "web", "--", "true")[:2] == (0, b"")
    code, _, err = kubectl.run("exec", "web", "--", "no-such-command")
    assert code == 127


def test_standard_input_reaches_its_end(kubectl: Kubectl) -> None:
    content = os.urandom(3 << 20)
    code, out, _ = kubectl.run("exec", "-i", "web", "--", "sha256sum", stdin=content)
    assert code == 0
    assert out.split()[0].decode() == hashlib.sha256(content).hexdigest()
    assert kubectl.run("exec", "-i", "web", "--", "cat", stdin=b"hello")[:2] == (0, b"hello")


def test_much_output_arrives_whole(kubectl: Kubectl) -> None:
    code, out, _ = kubectl.run("exec", "web", "--", "sh", "-c", "head -c 5000000 /dev/zero")
    assert (code, len(out)) == (0, 5_000_000)


async def get(port: int, path: str = "/") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


def test_what_is_typed_reaches_a_container_that_reads_and_its_answers_come_back(kubectl: Kubectl) -> None:
    name = "cat" + "".join(mark for mark in Path(kubectl.binary).name if mark.isdigit())
    script = "while read line; do echo got $line; echo told >&2; done; echo over"
    made = ["run", name, "--image=any", "--restart=Never", "-i", "--rm", "--command", "--", "sh", "-c", script]
    code, out, err = kubectl.run(*made, stdin=b"one\ntwo words\n")
    assert code == 0, err
    assert out.startswith(b"got one\ngot two words\nover\n")
    assert err.count(b"told") == 2


def test_top_shows_what_pods_and_nodes_use(kubectl: Kubectl) -> None:
    # By its name: pods of other tests may be about to go.
    code, out, err = kubectl.run("top", "pods", "web", "--containers", "--no-headers")
    assert code == 0, err
    pod, container, cores, memory = out.decode().split()
    assert (pod, container, cores[-1]) == ("web", "c", "m")
    assert int(memory.removesuffix("Mi")) > 1
    code, out, err = kubectl.run("top", "nodes", "--no-headers")
    assert code == 0, err
    name, _, _, memory, share = out.decode().split()
    assert name == "local"
    assert int(memory.removesuffix("Mi")) > 10
    assert share.endswith("%")


async def test_ports_are_forwarded(kubectl: Kubectl) -> None:
    async with kubectl.forwarding(":8099") as port:
        answers = await asyncio.gather(*(get(port) for _ in range(8)))
        assert all(answer.startswith(b"HTTP/1.0 200") for answer in answers)


async def test_a_port_where_nobody_listens_ends_its_own_connection(kubectl: Kubectl) -> None:
    async with kubectl.forwarding(":8098") as port:
        with contextlib.suppress(ConnectionError):  # some versions reset it
            assert await get(port) == b""


@pytest.fixture
def core(state: Path) -> Iterator[kubernetes.client.CoreV1Api]:
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(state / "kubeconfig"), client_configuration=configuration)
    api = kubernetes.client.ApiClient(configuration)
    yield kubernetes.client.CoreV1Api(api)
    for thread in threading.enumerate():
        if thread.name.startswith("Kubernetes port forward proxy"):
            thread.join(30)
    api.rest_client.pool_manager.clear()
    api.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # that client leaves closing to the garbage collector
        gc.collect()


def test_the_official_client_runs_commands_in_a_terminal(core: kubernetes.client.CoreV1Api) -> None:
    options = {"stdin": True, "stdout": True, "stderr": False, "tty": True, "_preload_content": False}
    command = ["sh", "-c", "tty; read line; echo got $line"]
    session = stream(core.connect_get_namespaced_pod_exec, "web", "default", command=command, **options)
    session.write_stdin("word\n")
    session.run_forever(timeout=30)
    said = session.read_stdout()
    assert "/dev/pts/" in said
    assert "got word" in said
    assert session.returncode == 0
    session.close()


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end and length and len(body) == int(length[1]))


def test_the_official_client_forwards_ports(core: kubernetes.client.CoreV1Api) -> None:
    forward = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8099")
    with contextlib.closing(forward.socket(8099)) as peer:
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        peer.settimeout(30)
        answer = b""
        while not is_whole(answer):  # that client's thread crashes where something is left unread
            piece = peer.recv(1 << 20)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.0 200")
    assert forward.error(8099) is None
    forward.close()
    for thread in threading.enumerate():
        if thread.name.startswith("Kubernetes port forward proxy"):
            thread.join(40)


def test_a_command_ends_when_its_client_leaves(state: Path, tmp_path: Path) -> None:
    if INSTALLED is None:
        pytest.skip("kubectl is not installed")
    mark = tmp_path / "pid"
    command = ["kubectl", f"--kubeconfig={state / 'kubeconfig'}", "exec", "web", "--", "sh", "-c"]
    client = subprocess.Popen([*command, f"echo $$ > {mark}; sleep 60"])
    deadline = time.monotonic() + 30
    while not (mark.exists() and mark.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    pid = int(mark.read_text())
    client.send_signal(signal.SIGKILL)
    client.wait()
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline + 30:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_who_may_read_pods_may_not_run_commands_in_them(state: Path) -> None:
    if INSTALLED is None:
        pytest.skip("kubectl is not installed")
    admin = Kubectl(Path(INSTALLED), state)
    admin.run("create", "clusterrole", "looks", "--verb=get,list", "--resource=pods,pods/exec,pods/portforward")
    admin.run("create", "clusterrolebinding", "looks", "--clusterrole=looks", "--user=eve")
    assert admin.run("get", "pods", "--as=eve")[0] == 0
    code, _, err = admin.run("exec", "--as=eve", "web", "--", "true")
    assert code != 0
    assert b'cannot create resource "pods/exec"' in err
