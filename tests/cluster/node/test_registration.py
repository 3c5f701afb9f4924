"""The Node object, its status and its Lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster import quantities, timestamps
from cluster.node import registration
from cluster.node.config import Config
from cluster.node.registration import Registration
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable
from tidegate.process import tasks

NOW = 1_800_000_000.0


def config(**fields: Any) -> Config:
    return Config(state="/nowhere", name="n1", **fields)


@contextlib.asynccontextmanager
async def running(node: Registration) -> AsyncIterator[None]:
    task = tasks.spawn(node.run(), "registration")
    yield
    await tasks.cancel(task)


async def test_register_creates_node_lease_and_namespace() -> None:
    api = FakeApi()
    missing = ApiError(404, "NotFound", "no such namespace")
    api.refuse("create", resources.LEASES, missing)
    await Registration(api, config(taint=True, labels="zone=a"), 1234).register()
    node = api.peek(resources.NODES, "n1")
    assert node is not None
    assert node["metadata"]["labels"]["zone"] == "a"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["spec"]["taints"] == [{"key": "tidegate.dev/process-node", "effect": "NoSchedule"}]
    assert node["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 1234}}
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "127.0.0.1"}
    assert node["status"]["conditions"][0]["status"] == "True"
    amounts = node["status"]["allocatable"]
    assert set(amounts) == {"cpu", "memory", "ephemeral-storage", "pods"}
    assert all(quantities.parse(amount) > 0 for amount in amounts.values()), amounts
    lease = api.peek(resources.LEASES, "n1", "kube-node-lease")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "n1"
    assert api.peek(resources.NAMESPACES, "kube-node-lease")


@pytest.mark.looptime
async def test_register_waits_for_the_server_and_run_renews() -> None:
    api = FakeApi()
    api.refuse("get", resources.NODES, Unreachable("not yet"), times=3)
    node = Registration(api, config(), 1)
    await node.register()
    assert api.peek(resources.NODES, "n1")
    before = len(api.calls)
    async with running(node):
        await asyncio.sleep(registration.RENEW_S * 2.5)
    renewals = [call for call in api.calls[before:] if call[:2] == ("patch", "leases")]
    assert len(renewals) == 2


@pytest.mark.looptime
async def test_a_failed_renewal_does_not_end_the_node() -> None:
    api = FakeApi()
    node = Registration(api, config(), 1)
    await node.register()
    api.refuse("get", resources.NODES, Unreachable("away"))
    before = len(api.calls)
    async with running(node):
        await asyncio.sleep(registration.RENEW_S * 2.5)
    assert [call for call in api.calls[before:] if call[:2] == ("patch", "leases")]


def test_a_known_node_gets_its_labels_back_and_keeps_its_transition_time() -> None:
    old = {
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "t"}, {"type": "Disk", "status": "x"}]
    }
    status = registration.node_status(config(), 1, old, NOW)
    kept, ready = status["conditions"]
    assert kept["type"] == "Disk"
    assert ready["lastTransitionTime"] == "t"
    assert ready["lastHeartbeatTime"] == timestamps.text(NOW)
    lost = {"conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "t"}]}
    assert registration.node_status(config(), 1, lost, NOW)["conditions"][0]["lastTransitionTime"] == timestamps.text(
        NOW
    )


def test_capacity_can_be_replaced_and_extended() -> None:
    found = registration.capacity(config(capacity="cpu=64,nvidia.com/gpu=1", max_pods=7))
    assert (found["cpu"], found["nvidia.com/gpu"], found["pods"]) == ("64", "1", "7")
    assert found["memory"].endswith("Ki")


REFUSED = [
    ({"pod_cidr": "10.0.0.0/8"}, "not inside 127.0.0.0/8"),
    ({"max_pods": 0}, "at least 1"),
    ({"labels": "x"}, "labels: 'x' is not key=value"),
    ({"capacity": "gpu"}, "capacity: 'gpu' is not key=value"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_settings_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**fields)
