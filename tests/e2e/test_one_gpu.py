"""A rollout where there is one GPU: the node says that it has one, every revision asks for one.

The pods need none in truth; what is tested is that they are never beside each other, that nobody notices, and that a
revision that does not start gives the place back.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadtest import load
from loadtest.instance import Instance, eventually, example
from tests.support.versions import later_versions
from tidegate.kube import resources
from tidegate.kube.api import Object

HOST = "one-gpu.default.localhost"
ANNOTATIONS = {
    "tidegate.dev/rollout": "recreate",
    "autoscaling.knative.dev/min-scale": "1",
    "serving.knative.dev/progress-deadline": "30s",
}
GPU = {"limits": {"nvidia.com/gpu": "1"}}


def service(target: str, **container: Any) -> dict[str, Any]:
    document = example("hello", service="one-gpu", annotations=ANNOTATIONS, env={"TARGET": target})
    document["spec"]["template"]["spec"]["containers"][0] |= {"resources": GPU, **container}
    return document


async def ask(instance: Instance) -> str:
    answer = await load.get(instance.port, HOST, "/")
    assert answer.status == 200, answer
    return answer.body.decode()


async def asked_until(instance: Instance, wanted: str, timeout_s: float) -> set[str]:
    """Ask all the time; return what was answered until it is `wanted`. Every answer has to be a good one."""
    seen: set[str] = set()
    async with asyncio.timeout(timeout_s):
        while not any(wanted in each for each in seen):
            seen.add(await ask(instance))
            await asyncio.sleep(0.05)
    return seen


async def scheduled(instance: Instance) -> int:
    pods = (await instance.client.list(resources.PODS, "default", "serving.knative.dev/service=one-gpu")).items
    return sum(bool(pod["spec"].get("nodeName")) for pod in pods)


async def watched(instance: Instance, seen: list[int]) -> None:
    while True:
        seen.append(await scheduled(instance))
        await asyncio.sleep(0.1)


@pytest.mark.timeout(400)
async def test_one_revision_at_a_time_without_a_lost_request(instance: Instance) -> None:
    await instance.apply(service("first"))
    await instance.wait_service_ready("one-gpu")
    assert "first" in await ask(instance)
    counts: list[int] = []
    routed: list[str] = []
    found = await instance.client.get(resources.KNATIVE_SERVICES, "one-gpu", "default")
    watching = [asyncio.create_task(watched(instance, counts)), asyncio.create_task(follow(instance, found, routed))]
    try:
        await instance.apply(service("second"))
        assert len(await asked_until(instance, "second", 90)) <= 2
        await instance.wait_service_ready("one-gpu")
        await instance.apply(service("third", command=["false"]))
        await eventually(lambda: was_routed(routed, "one-gpu-00003"), 90, "the third has the traffic")
        held = [asyncio.create_task(load.get(instance.port, HOST, "/")) for _ in range(3)]
        await eventually(lambda: is_routed(instance, "one-gpu-00002"), 90, "it does not start and gives it back")
        told = [await one for one in held]
        assert {reply.status for reply in told} <= {200, 503}, told
        # The gateway hears of it by itself.
        assert "second" in (await asked_well(instance)).body.decode()
    finally:
        for task in watching:
            task.cancel()
    assert max(counts) == 1
    await eventually(lambda: has_its_own_window(instance), 60, "who came back scales as its author said")
    await instance.client.delete(resources.KNATIVE_SERVICES, "one-gpu", "default")


async def asked_well(instance: Instance) -> load.Reply:
    """Return the first answer that is a good one; there may be one more that is not."""

    async def good() -> load.Reply | None:
        answer = await load.get(instance.port, HOST, "/")
        return answer if answer.status == 200 else None

    found: load.Reply = await eventually(good, 60, "the service answers", poll_s=0.2)
    return found


async def follow(instance: Instance, service: Object, routed: list[str]) -> None:
    """Note every revision that the service says gets the traffic."""
    async for version in later_versions(instance.client, resources.KNATIVE_SERVICES, service):
        routed.append(version["status"]["traffic"][0]["revisionName"])


async def was_routed(routed: list[str], revision: str) -> bool:
    return revision in routed


async def is_routed(instance: Instance, revision: str) -> bool:
    found = await instance.client.get(resources.KNATIVE_SERVICES, "one-gpu", "default")
    return bool(found["status"]["traffic"][0]["revisionName"] == revision)


async def has_its_own_window(instance: Instance) -> bool:
    scaler = await instance.client.get(resources.POD_AUTOSCALERS, "one-gpu-00002", "default")
    annotations = scaler["metadata"]["annotations"]
    deadline = annotations["serving.knative.dev/progress-deadline"]
    return "autoscaling.knative.dev/window" not in annotations and bool(deadline == "30s")
