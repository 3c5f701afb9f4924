"""Probes: liveness restarts, readiness of each kind lets requests in, and takes a pod out of rotation later."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.world import World, service
from tidegate.kube.api import Object

EXEC = ["python", "-m", "tests.conformance.apps.readiness", "probe"]
HANDLERS: dict[str, Object] = {
    "httpGet": {"httpGet": {"path": "/healthz/readiness"}},
    "tcpSocket": {"tcpSocket": {}},
    "exec": {"exec": {"command": EXEC}},
}
DELAY_S = "2"


async def _restarts(world: World) -> int:
    pods = await world.pods("careful-00001")
    statuses = [one for pod in pods for one in (pod.get("status") or {}).get("containerStatuses") or []]
    return sum(one["restartCount"] for one in statuses if one["name"] == "user-container")


@pytest.mark.upstream("runtime", "TestLivenessWithFail")
async def test_a_live_container_stays_and_one_that_fails_is_started_again(world: World) -> None:
    probe = {"httpGet": {"path": "/healthz/liveness"}, "periodSeconds": 1, "failureThreshold": 3}
    keep = {"autoscaling.knative.dev/min-scale": "1"}
    await world.deploy(service("careful", "readiness", container={"livenessProbe": probe}, annotations=keep))
    host = world.host("careful")

    async def probed() -> bool:
        return int(await world.text(host, "/healthz/livenessCounter")) >= 5

    await world.until("five liveness probes", probed)
    assert await _restarts(world) == 0

    assert (await world.ask(host, "/start-failing", method="POST")).status == 200

    async def restarted() -> bool:
        return await _restarts(world) == 1

    await world.until("the container is started again", restarted)
    await world.serves(host, "noodles")


@pytest.mark.upstream("runtime", "TestProbeRuntime")
@pytest.mark.parametrize("period_s", [0, 1], ids=["period 0", "period 1"])
@pytest.mark.parametrize("handler", list(HANDLERS))
async def test_a_container_that_listens_late_becomes_ready_and_serves(
    world: World, handler: str, period_s: int
) -> None:
    probe = HANDLERS[handler] | {"periodSeconds": period_s}
    env = [{"name": "LISTEN_DELAY", "value": DELAY_S}]
    await world.deploy(service("careful", "readiness", container={"readinessProbe": probe, "env": env}))
    await world.serves(world.host("careful"), "noodles")


@pytest.mark.upstream("runtime", "TestProbeRuntimeAfterStartup")
# A kubelet takes half a minute to see that a command fails whose period is left to it, which shows nothing more.
@pytest.mark.parametrize(("handler", "period_s"), [("httpGet", 0), ("httpGet", 1), ("exec", 1)])
async def test_a_container_that_is_not_ready_any_more_gets_no_requests(
    world: World, handler: str, period_s: int
) -> None:
    probe = HANDLERS[handler] | {"periodSeconds": period_s}
    keep = {"autoscaling.knative.dev/min-scale": "1"}
    made = service("careful", "readiness", container={"readinessProbe": probe}, annotations=keep)
    await world.deploy(made)
    host = world.host("careful")
    assert (await world.ask(host, "/start-failing", method="POST")).status == 200

    async def unserved() -> bool:
        try:
            async with httpx.AsyncClient(timeout=1.0) as client:
                reply = await client.get(f"http://127.0.0.1:{world.instance.port}/", headers={"host": host})
        except httpx.TimeoutException:
            return True
        assert reply.status_code in (200, 503, 504), reply
        return reply.status_code != 200

    await world.until("no request reaches the container", unserved)

    async def out_of_rotation() -> bool:
        return await world.ready_pods("careful-00001") == 0

    await world.until("the pod is not ready", out_of_rotation)
