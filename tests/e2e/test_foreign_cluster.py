"""The process node in a cluster that is not ours: a bare, strict control plane, joined by kubeconfig, tainted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest import foreign, load
from loadtest.foreign import Foreign, NotHere
from loadtest.instance import eventually, example
from tidegate.kube import resources
from tidegate.kube.api import Object

NODE = "edge"
TAINT = "tidegate.dev/process-node"
TOLERATES = [{"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}]


@pytest.fixture
async def joined(tmp_path: Path) -> AsyncIterator[Foreign]:
    if why := foreign.can_join():
        pytest.skip(why)
    async with foreign.bare_cluster(tmp_path, NODE) as cluster:
        await cluster.configure("config-autoscaler", {"allow-zero-initial-scale": "true"})
        # Refused until the webhook has heard of it.
        await eventually(lambda: cluster.apply(service("guest", TOLERATES)), 60, "the service is taken", poll_s=0.1)
        yield cluster


def service(name: str, tolerations: list[Object]) -> Object:
    """A service that starts at zero and says what its pods tolerate."""
    made = example("hello", service=name, annotations={"autoscaling.knative.dev/initial-scale": "0"})
    made["spec"]["template"]["spec"]["tolerations"] = tolerations
    return made


async def test_a_tainted_node_takes_who_tolerates_it_and_a_service_wakes_from_zero(joined: Foreign) -> None:
    await joined.apply(service("stranger", []))
    await joined.wait_service_ready("guest")
    await joined.wait_service_ready("stranger")
    revision = await joined.revision_of("guest")
    assert await joined.pods_of(revision) == []

    reply = await load.get(joined.port, "guest.default.localhost")
    assert (reply.status, reply.body) == (200, f"Hello World! ({revision})\n".encode())
    assert {pod["spec"]["nodeName"] for pod in await joined.pods_of(revision)} == {NODE}

    # Nobody has room for the other one, and it says why.
    alone = await joined.revision_of("stranger")
    deployment = f"{alone}-deployment"
    await joined.client.patch(
        resources.DEPLOYMENTS, deployment, {"spec": {"replicas": 1}}, "default", subresource="scale"
    )

    async def refused() -> bool:
        pods = await joined.pods_of(alone)
        messages = [one.get("message", "") for pod in pods for one in (pod.get("status") or {}).get("conditions") or []]
        return any(f"untolerated taint {{{TAINT}" in message for message in messages)

    await eventually(refused, 60, "the pod that does not tolerate the taint waits")
    assert not any(pod["spec"].get("nodeName") for pod in await joined.pods_of(alone))
    with pytest.raises(NotHere, match="local instance"):
        joined.tidegate("status")
