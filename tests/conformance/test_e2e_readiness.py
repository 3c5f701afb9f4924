"""Readiness by another port, by path and query, by gRPC; liveness that waits for a slow start."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.instance import free_port
from tests.conformance.world import World, condition, service
from tidegate.kube.api import Object

ONE = "autoscaling.knative.dev/min-scale"


def env(**values: str) -> list[Object]:
    """Return environment variables."""
    return [{"name": name, "value": value} for name, value in values.items()]


async def unready(world: World, revision: str) -> None:
    """Wait until no pod of a revision is ready."""

    async def check() -> bool:
        pods = await world.pods(revision)
        return bool(pods) and not await world.ready_pods(revision)

    await world.until("the pod is not ready", check)


@pytest.mark.upstream("e2e", "TestReadinessAlternatePort")
async def test_a_probe_on_another_port_decides(world: World) -> None:
    port = free_port()  # pods share the machine's ports
    probe = {"httpGet": {"path": "/readiness", "port": port}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"env": env(HEALTHCHECK_PORT=str(port)), "readinessProbe": probe}
    made = await world.deploy(service("ready", "readiness", container=container, annotations={ONE: "1"}))
    revision, host = made["status"]["latestReadyRevisionName"], world.host("ready")
    found = await world.get("Revision", revision)
    assert found["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] == port
    await world.serves(host, "noodles")
    await world.text(host, "/start-failing")
    await unready(world, revision)


@pytest.mark.upstream("e2e", "TestReadinessPathAndQuery")
async def test_a_probe_keeps_its_query(world: World) -> None:
    probe: Object = {"httpGet": {"path": "/query?probe=ok"}}
    await world.deploy(service("ready", "readiness", container={"readinessProbe": probe}))
    await world.serves(world.host("ready"), "noodles")


@pytest.mark.upstream("e2e", "TestReadinessPathAndQuery")
async def test_a_probe_with_the_wrong_query_is_never_ready(world: World) -> None:
    probe: Object = {"httpGet": {"path": "/query?probe=wrong"}, "periodSeconds": 1}
    annotations = {"serving.knative.dev/progress-deadline": "5s"}
    await world.create(service("ready", "readiness", container={"readinessProbe": probe}, annotations=annotations))
    assert (await world.failed("Service", "ready"))["message"]


@pytest.mark.upstream("e2e", "TestReadinessGRPCProbe")
@pytest.mark.parametrize("period_s", [0, 1])
async def test_a_grpc_probe_decides(world: World, period_s: int) -> None:
    probe: dict[str, Any] = {"grpc": {}, "periodSeconds": period_s}
    ports = [{"name": "h2c", "containerPort": 8080}]
    container = {"image": "tidegate.dev/examples/grpc", "ports": ports, "readinessProbe": probe}
    made = await world.deploy(service("ping", container=container))
    assert await world.ready_pods(made["status"]["latestReadyRevisionName"]) == 1


@pytest.mark.upstream("e2e", "TestLivenessProbeAwareOfStartupProbe")
async def test_liveness_waits_for_the_startup_probe(world: World) -> None:
    startup = {"httpGet": {"path": "/healthz/liveness"}, "periodSeconds": 1, "failureThreshold": 30}
    liveness = {"httpGet": {"path": "/healthz/liveness"}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"env": env(LISTEN_DELAY="5"), "startupProbe": startup, "livenessProbe": liveness}
    made = await world.deploy(service("slow", "readiness", container=container, annotations={ONE: "1"}))
    revision = made["status"]["latestReadyRevisionName"]
    (pod,) = await world.pods(revision)
    before = int(await world.text(world.host("slow"), "/healthz/livenessCounter"))

    async def asked() -> bool:
        return int(await world.text(world.host("slow"), "/healthz/livenessCounter")) >= before + 2

    await world.until("liveness is asked for", asked)
    (pod,) = await world.pods(revision)
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0, 0]
    assert condition(await world.get("Revision", revision), "ContainerHealthy")["status"] == "True"
