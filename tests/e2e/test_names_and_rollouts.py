"""Names inside the cluster, domains and a gradual rollout, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from loadtest import load, tools
from loadtest.instance import Instance, eventually, example
from tests.support.versions import later_versions
from tidegate.contracts import conditions, names
from tidegate.kube import resources
from tidegate.kube.api import Object

CALL = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
"""


async def deploy(instance: Instance, name: str, labels: dict[str, str] | None = None, **changes: Any) -> str:
    document = example("hello", service=name, annotations={"autoscaling.knative.dev/window": "6s"}, **changes)
    document["metadata"]["labels"] = labels or {}
    await tools.apply(instance, document)
    await tools.wait_ready(instance, name)
    return await instance.revision_of(name)


async def called_from_a_pod(instance: Instance, name: str, url: str) -> str:
    """Call a URL from a pod of its own; returns the pod's phase at its end."""
    container = {"name": "call", "image": "none", "command": ["python", "-c", CALL, url]}
    pod = {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    await instance.client.create(resources.PODS, pod, "default")

    async def ended() -> str:
        found = await instance.client.get(resources.PODS, name, "default")
        phase = str((found.get("status") or {}).get("phase"))
        return phase if phase in ("Succeeded", "Failed") else ""

    try:
        return str(await eventually(ended, 100, f"pod {name} ends"))
    finally:
        await instance.client.delete(resources.PODS, name, "default")


async def test_a_pod_calls_a_cluster_local_service_by_its_name_and_the_public_cannot(instance: Instance) -> None:
    await deploy(instance, "inner", {names.VISIBILITY_LABEL: names.CLUSTER_LOCAL})
    service = await instance.client.get(resources.KNATIVE_SERVICES, "inner", "default")
    assert service["status"]["url"] == "http://inner.default.svc.cluster.local"
    for number, host in enumerate(("inner.default.svc.cluster.local", "inner.default.svc", "inner.default")):
        assert await called_from_a_pod(instance, f"caller-{number}", f"http://{host}/") == "Succeeded"
        assert (await load.get(instance.port, host)).status == 404
    assert (await load.get(instance.port, "inner.default.localhost")).status == 404


async def test_a_domain_of_ones_own(instance: Instance) -> None:
    revision = await deploy(instance, "mapped")
    reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "mapped"}
    mapping: Object = {"metadata": {"name": "www.example.org"}, "spec": {"ref": reference}}
    await instance.client.create(resources.DOMAIN_MAPPINGS, mapping, "default")

    async def ready() -> bool:
        return conditions.is_ready(await instance.client.get(resources.DOMAIN_MAPPINGS, "www.example.org", "default"))

    await eventually(ready, 60, "the mapping is Ready")
    reply = await load.get(instance.port, "www.example.org")
    assert (reply.status, revision.encode() in reply.body) == (200, True)
    await instance.client.delete(resources.DOMAIN_MAPPINGS, "www.example.org", "default")

    async def is_gone() -> bool:
        return (await load.get(instance.port, "www.example.org")).status == 404

    await eventually(is_gone, 60, "the domain is gone")


async def shares_until_over(instance: Instance, route: Object) -> list[dict[str, int]]:
    """Return what each version of a Route said of its traffic, until all of it goes to another revision."""
    seen: list[dict[str, int]] = [shares_of(route)]
    async for version in later_versions(instance.client, resources.ROUTES, route):
        if shares_of(version) != seen[-1]:
            seen.append(shares_of(version))
        if not seen[0].keys() & seen[-1].keys():
            break
    return seen


def shares_of(route: Object) -> dict[str, int]:
    return {row["revisionName"]: row["percent"] for row in route["status"]["traffic"]}


async def asked_all_the_time(instance: Instance, host: str) -> AsyncIterator[int]:
    connection = load.Connection("127.0.0.1", instance.port)
    try:
        while True:
            yield (await connection.request(host)).status
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_a_new_revision_takes_over_step_by_step_and_no_request_fails(instance: Instance) -> None:
    slow = {names.ROLLOUT_DURATION_ANNOTATION: "12s"}

    async def apply(text: str) -> None:
        document = example("hello", service="slow", env={"TARGET": text})
        document["metadata"]["annotations"] = slow
        document["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] = "1"
        await tools.apply(instance, document)

    await apply("one")
    await tools.wait_ready(instance, "slow")
    route = await instance.client.get(resources.ROUTES, "slow", "default")
    async with asyncio.timeout(120):
        steps = asyncio.ensure_future(shares_until_over(instance, route))
        await apply("two")
        async with contextlib.aclosing(asked_all_the_time(instance, "slow.default.localhost")) as statuses:
            async for status in statuses:
                assert status == 200
                if steps.done():
                    break
    seen = steps.result()
    (second,) = seen[-1]
    percents = [shares.get(second, 0) for shares in seen]
    assert percents == sorted(percents)
    assert percents[:2] == [0, 1]
    # A step is never shorter than the first percent took: there are fewer of them where the gateway is slow.
    assert len(percents) >= 4, percents
    await tools.wait_ready(instance, "slow")
