"""What the node says of a pod is written once, and written again when somebody else said otherwise."""

from __future__ import annotations

from typing import Any

from cluster.node.status_writer import StatusWriter
from tests.support.fake_api import FakeApi
from tidegate.kube import resources

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


async def written_once(api: FakeApi) -> StatusWriter:
    pod = await api.create(
        resources.PODS, {"metadata": {"name": "one", "namespace": "default"}, "spec": {"containers": []}}
    )
    writer = StatusWriter(api, pod)
    writer.publish(READY)
    await writer.flush(30)
    return writer


def patches(api: FakeApi) -> int:
    return sum(call[0] == "patch" for call in api.calls)


async def foreign(api: FakeApi, ready: str) -> Any:
    status = {"status": {"conditions": [{"type": "Ready", "status": ready, "reason": "NodeNotReady"}]}}
    return await api.patch(resources.PODS, "one", status, "default", subresource="status", manager="somebody")


async def test_a_foreign_not_ready_is_put_right() -> None:
    api = FakeApi()
    writer = await written_once(api)
    before = patches(api)
    writer.observe(await foreign(api, "False"))
    await writer.flush(30)
    assert patches(api) == before + 2  # theirs and ours
    pod = await api.get(resources.PODS, "one", "default")
    assert pod["status"]["conditions"][0]["status"] == "True"


async def test_older_versions_and_equal_readiness_write_nothing() -> None:
    api = FakeApi()
    writer = await written_once(api)
    old = await api.get(resources.PODS, "one", "default")
    old["metadata"]["resourceVersion"] = "1"
    old["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}
    before = patches(api)
    writer.observe(old)
    writer.observe(await foreign(api, "True"))
    await writer.flush(30)
    assert patches(api) == before + 1  # theirs
