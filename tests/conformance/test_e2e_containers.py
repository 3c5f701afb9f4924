"""Several containers in a pod: one that serves another's answer, probes of each, one that runs before; a claim."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest import load
from loadtest.instance import free_port
from tests.conformance.world import World, condition, image, service
from tidegate.kube import resources
from tidegate.kube.api import Object

TEXT = "From file in empty dir!\n"
MOUNT = [{"name": "data", "mountPath": "/data"}]
PROBES: dict[str, Object] = {
    "httpGet": {"httpGet": {"path": "/healthz/readiness"}},
    "tcpSocket": {"tcpSocket": {}},
    "exec": {"exec": {"command": ["python", "-m", "tests.conformance.apps.readiness", "probe"]}},
}


def variables(**values: str) -> list[Object]:
    """Return environment variables."""
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.upstream("e2e", "TestMultiContainer")
async def test_two_containers_of_a_pod_talk_to_each_other(world: World) -> None:
    port = str(free_port())  # pods share the machine's ports
    serving = {
        "image": image("servingcontainer"),
        "ports": [{"containerPort": 8881}],
        "env": variables(FORWARD_PORT=port),
    }
    beside = {"image": image("sidecarcontainer"), "env": variables(PORT=port)}
    await world.deploy(service("both", spec={"containers": [serving, beside]}))
    await world.serves(world.host("both"), "Yay!! multi-container works")


def pair(port: int, serving: Object, beside: Object, **env: str) -> Object:
    """Return a Service of two containers with readiness probes; the second listens on `port`, which its probe needs."""
    beside = {kind: {"port": port} | settings for kind, settings in beside.items()}
    containers: list[dict[str, Any]] = [
        {"image": image("readiness"), "ports": [{"containerPort": 8080}], "readinessProbe": serving},
        {
            "image": image("readiness"),
            "env": variables(PORT=str(port), HOST="127.0.0.1", **env),
            "readinessProbe": beside | {"periodSeconds": 1, "failureThreshold": 1},
        },
    ]
    annotations = {"autoscaling.knative.dev/min-scale": "1"}
    return service("both", spec={"containers": containers}, annotations=annotations)


@pytest.mark.upstream("packages", "TestMultiContainerReadiness", "TestMultiContainerReadinessDifferentProbeTypes")
@pytest.mark.parametrize(
    ("serving", "beside"), [("httpGet", "httpGet"), ("tcpSocket", "httpGet"), ("exec", "tcpSocket")]
)
async def test_a_pod_is_ready_when_each_of_its_containers_is(world: World, serving: str, beside: str) -> None:
    delay = {"LISTEN_DELAY": "4"} if beside == "tcpSocket" else {"READY_DELAY": "4"}
    await world.create(pair(free_port(), PROBES[serving], PROBES[beside], **delay))

    async def has_begun() -> bool:
        pods = await world.pods("both-00001")
        statuses = [one for pod in pods for one in (pod.get("status") or {}).get("containerStatuses") or []]
        return len(statuses) == 3 and all("running" in (one.get("state") or {}) for one in statuses)

    await world.until("all containers run", has_begun)
    assert condition(await world.get("Service", "both")).get("status") != "True"
    assert await world.ready_pods("both-00001") == 0
    await world.ready("Service", "both")
    await world.serves(world.host("both"), "noodles")


@pytest.mark.upstream("packages", "TestMultiContainerProbeStartFailingAfterReady")
async def test_a_container_that_fails_later_takes_its_pod_out(world: World) -> None:
    port, http = free_port(), PROBES["httpGet"]
    await world.deploy(pair(port, http | {"periodSeconds": 1, "failureThreshold": 1}, http))
    await world.serves(world.host("both"), "noodles")
    assert (await load.get(port, "localhost", "/start-failing")).status == 200

    async def is_out() -> bool:
        return bool(await world.pods("both-00001")) and not await world.ready_pods("both-00001")

    await world.until("the pod is not ready", is_out)


@pytest.mark.upstream("packages", "TestInitContainers")
async def test_an_init_container_writes_what_is_served(world: World) -> None:
    before = {"name": "before", "image": image("volumes"), "env": variables(SKIP_DATA_SERVE="1"), "volumeMounts": MOUNT}
    container = {"env": variables(SKIP_DATA_WRITE="1"), "volumeMounts": MOUNT}
    spec = {"initContainers": [before], "volumes": [{"name": "data", "emptyDir": {}}]}
    made = service("reader", "volumes", container=container)
    made["spec"]["template"]["spec"] |= spec
    await world.deploy(made)
    assert await world.text(world.host("reader")) == TEXT


@pytest.mark.upstream("packages", "TestPersistentVolumeClaims")
async def test_a_claim_is_written_and_read(world: World) -> None:
    claim = {
        "metadata": {"name": "claim"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "100Mi"}}},
    }
    await world.instance.client.create(resources.PERSISTENT_VOLUME_CLAIMS, claim, world.namespace)
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "claim", "readOnly": False}}
    made = service("writer", "volumes", container={"volumeMounts": MOUNT})
    made["spec"]["template"]["spec"]["volumes"] = [volume]
    await world.deploy(made)
    assert await world.text(world.host("writer")) == TEXT
