"""Pods as real processes, against a scripted API server."""

from __future__ import annotations

import sys

from tests.cluster.node.conftest import World, pod
from tidegate.kube import resources

PY = sys.executable
SERVE = (
    "import http.server, os\n"
    "http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
    ".serve_forever()"
)


async def test_a_pod_starts_and_becomes_ready(world: World) -> None:
    await world.run(pod("sh", "-c", "echo hello; sleep 60"))
    await world.until(lambda: world.condition("Ready") == "True")
    status = world.pod()["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].startswith("127.")
    assert world.container()["state"]["running"]["startedAt"]
    await world.until(lambda: world.output() == ["hello"])


async def test_readiness_is_probed_on_the_remapped_port(world: World) -> None:
    container = {
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "PORT", "value": "8080"}],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
    }
    await world.run(pod(PY, "-c", SERVE, container=container))
    await world.until(lambda: world.condition("Ready") == "True")


async def test_deletion_stops_the_process_and_removes_the_object(world: World) -> None:
    await world.run(pod("sleep", "60"))
    await world.until(lambda: world.condition("Ready") == "True")
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    assert not list((world.context.root / "pods").iterdir())


async def test_completed_pod(world: World) -> None:
    await world.run(pod("true", restartPolicy="Never"))
    await world.until(lambda: world.pod().get("status", {}).get("phase") == "Succeeded")
    assert world.container()["state"]["terminated"]["reason"] == "Completed"
