"""What a service's pods say, hold and leave behind: greetings, volumes, sidecars, logs, and an orderly end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from tests.conformance.scaling import annotations, at_zero
from tests.conformance.world import World, service
from tidegate.contracts import names
from tidegate.kube import resources

SIDECAR = "queue-proxy"
TEXT = "Hello World! How about some tasty noodles?\n"


@pytest.mark.upstream("e2e", "TestHelloWorld")
async def test_a_service_says_hello_and_its_revision_knows_whose_it_is(world: World) -> None:
    made = await world.deploy(service("hello"))
    assert await world.text(world.host("hello")) == TEXT
    revision = await world.get("Revision", made["status"]["latestReadyRevisionName"])
    labels = revision["metadata"]["labels"]
    assert labels["serving.knative.dev/configuration"] == "hello"
    assert labels["serving.knative.dev/service"] == "hello"


@pytest.mark.upstream("e2e", "TestQueueSideCarResourceLimit")
async def test_annotations_give_the_sidecar_its_resources(world: World) -> None:
    wanted = {
        "requests": {"cpu": "50m", "memory": "100Mi", "ephemeral-storage": "300Mi"},
        "limits": {"cpu": "150m", "memory": "200Mi", "ephemeral-storage": "500Mi"},
    }
    asked = {
        f"queue.sidecar.serving.knative.dev/{resource}-resource-{kind.removesuffix('s')}": amount
        for kind, amounts in wanted.items()
        for resource, amount in amounts.items()
    }
    made = await world.deploy(service("hello", annotations=asked))
    assert await world.text(world.host("hello")) == TEXT
    pod = (await world.pods(made["status"]["latestReadyRevisionName"]))[0]
    sidecar = next(one for one in pod["spec"]["containers"] if one["name"] == SIDECAR)
    assert sidecar["resources"] == wanted


@pytest.mark.upstream("e2e", "TestEmptyDir")
async def test_an_empty_folder_takes_what_the_app_writes(world: World) -> None:
    volumes = {"volumes": [{"name": "data", "emptyDir": {}}]}
    container = {
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "env": [{"name": "DATA_PATH", "value": "/data"}],
    }
    await world.deploy(service("folder", "volumes", container=container, spec=volumes))
    assert await world.text(world.host("folder")) == "From file in empty dir!\n"


@pytest.mark.upstream("e2e", "TestEgressTraffic")
async def test_a_pod_asks_somebody_outside(world: World) -> None:
    async def outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside")
        writer.close()

    server = await asyncio.start_server(outside, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    env = [{"name": "TARGET_HOST", "value": f"127.0.0.1:{port}"}]
    async with server:
        await world.deploy(service("egress", "httpproxy", container={"env": env}))
        assert await world.text(world.host("egress")) == "outside"


@pytest.mark.upstream("e2e", "TestRequestLogs")
async def test_a_request_is_a_line_of_json_and_a_probe_only_when_asked_for(world: World) -> None:
    asked = {"logging.enable-request-log": "true", "logging.request-log-template": TEMPLATE}
    try:
        await world.instance.configure("config-observability", asked)
        made = await world.deploy(service("logged", annotations=annotations(min_scale="1")))
        revision = made["status"]["latestReadyRevisionName"]
        await _logged(world, revision, "/asked")
        assert not any("probe" in line["agent"].lower() for line in await _lines(world, revision))
        await world.instance.configure("config-observability", {"logging.enable-probe-request-log": "true"})
        await world.update_template("logged", {"labels": {"second": "true"}})
        revision = (await world.ready("Service", "logged"))["status"]["latestReadyRevisionName"]

        async def probed() -> bool:
            return any("probe" in line["agent"].lower() for line in await _lines(world, revision))

        await world.until("a probe in the log", probed)
    finally:
        await world.instance.configure("config-observability", dict.fromkeys([*asked, PROBES]))  # type: ignore[arg-type]


PROBES = "logging.enable-probe-request-log"
TEMPLATE = (
    '{"url": "{{js .Request.RequestURI}}", "status": {{.Response.Code}}, "agent": "{{js .Request.UserAgent}}", '
    '"pod": "{{.Revision.PodName}}", "revision": "{{.Revision.Name}}"}'
)


async def _lines(world: World, revision: str) -> list[dict[str, Any]]:
    pod = (await world.pods(revision))[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/{world.namespace}/pods/{pod}/log"
    raw = (await world.instance.client.raw("GET", path, params={"container": SIDECAR})).decode()
    return [json.loads(line) for line in raw.splitlines() if line.startswith('{"url"')]


async def _logged(world: World, revision: str, path: str) -> None:
    async def check() -> bool:
        await world.ask(world.host("logged"), path)
        found = [line for line in await _lines(world, revision) if line["url"] == path]
        return bool(found) and found[0]["status"] == 200 and found[0]["revision"] == revision

    await world.until("the request in the log", check)


@pytest.mark.upstream("e2e", "TestDestroyPodInflight")
async def test_a_request_outlives_its_configuration(world: World) -> None:
    await world.deploy_parts(service("gone", "timeout", spec={"timeoutSeconds": 20}))
    asked = asyncio.ensure_future(world.ask(world.host("gone"), "/?timeout=10000"))
    await asyncio.sleep(5)
    await world.delete("Configuration", "gone")
    await world.delete("Route", "gone")
    reply = await asked
    assert (reply.status, reply.body.decode().strip()) == (200, "Slept for 10000 milliseconds")


@pytest.mark.upstream("e2e", "TestDestroyPodTimely")
async def test_an_idle_pod_does_not_wait_for_its_long_timeout(world: World) -> None:
    made = await world.deploy(service("idle", spec={"timeoutSeconds": 300}))
    revision = made["status"]["latestReadyRevisionName"]
    pods = await world.pods(revision)
    assert pods
    await world.delete("Service", "idle")

    async def gone() -> bool:
        return not await world.all(resources.PODS, f"{names.REVISION_LABEL}={revision}")

    await world.until("the pod is gone", gone, 120.0)


@pytest.mark.upstream("e2e", "TestDestroyPodWithRequests")
async def test_requests_of_a_deleted_pod_all_end_well(world: World) -> None:
    made = await world.deploy(service("leaving", "timeout", annotations=annotations(min_scale="1")))
    revision = made["status"]["latestReadyRevisionName"]
    pod = (await world.pods(revision))[0]["metadata"]["name"]
    asked = []
    for _ in range(10):
        asked.append(asyncio.ensure_future(world.ask(world.host("leaving"), "/?initialTimeout=8000")))
        await asyncio.sleep(0.3)
    await world.instance.client.delete(resources.PODS, pod, world.namespace)
    replies = await asyncio.gather(*asked)
    assert Counter((reply.status, reply.body) for reply in replies) == {(200, b"Slept for 8000 milliseconds"): 10}


@pytest.mark.upstream("e2e", "TestInitScalePositive")
async def test_a_revision_is_ready_with_its_initial_scale_and_falls_from_there(world: World) -> None:
    await world.create(service("initial", annotations=annotations(initial_scale="3", window="20s")))

    async def named() -> Any:
        return (await world.get("Service", "initial")).get("status", {}).get("latestCreatedRevisionName")

    revision = await world.until("a revision", named)
    ready = await world.ready("Revision", revision)
    pods = await world.ready_pods(revision)
    assert pods >= 3, ready["status"]
    await world.ready("Service", "initial")
    await at_zero(world, revision)
