"""The official Python client and kopf, unmodified, against the real server."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

from tidegate.kube import resources
from tidegate.kube.client import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes

pytestmark = pytest.mark.slow


async def test_typed_create_read_patch_delete(official) -> None:
    def use() -> None:
        core = kubernetes.client.CoreV1Api(official)
        apps = kubernetes.client.AppsV1Api(official)
        made = core.create_namespaced_config_map("default", {"metadata": {"name": "a"}, "data": {"k": "v"}})
        assert made.metadata.uid
        assert core.patch_namespaced_config_map("a", "default", {"data": {"x": "y"}}).data == {"k": "v", "x": "y"}
        assert [one.metadata.name for one in core.list_config_map_for_all_namespaces().items] == ["a"]
        labels = {"app": "web"}
        container = kubernetes.client.V1Container(name="c", image="x", ports=[{"containerPort": 80}])
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        apps.create_namespaced_deployment("default", {"metadata": {"name": "web"}, "spec": spec})
        apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
        assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 3
        core.delete_namespaced_config_map("a", "default")
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.read_namespaced_config_map("a", "default")
        assert caught.value.status == 404

    await asyncio.to_thread(use)


async def test_typed_watch_resumes_from_the_list(official, client: Client) -> None:
    found: list[tuple[str, str]] = []

    def use() -> None:
        core = kubernetes.client.CoreV1Api(official)
        since = core.list_namespaced_config_map("default").metadata.resource_version
        core.create_namespaced_config_map("default", {"metadata": {"name": "a"}})
        core.create_namespaced_config_map("default", {"metadata": {"name": "b"}})
        watch = kubernetes.watch.Watch()
        for event in watch.stream(
            core.list_namespaced_config_map, "default", resource_version=since, timeout_seconds=60
        ):
            found.append((event["type"], event["object"].metadata.name))
            if len(found) == 2:
                watch.stop()

    await asyncio.to_thread(use)
    assert found == [("ADDED", "a"), ("ADDED", "b")]


async def test_the_dynamic_client_finds_kinds_by_discovery(official) -> None:
    def use() -> None:
        dynamic = kubernetes.dynamic.DynamicClient(official)
        leases = dynamic.resources.get(api_version="coordination.k8s.io/v1", kind="Lease")
        leases.create({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}, namespace="default")
        assert leases.get(name="l", namespace="default").spec.holderIdentity == "me"
        applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"k": "v"}}
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        made = maps.server_side_apply(applied, namespace="default", field_manager="test")
        assert made.data.k == "v"

    await asyncio.to_thread(use)


BOAT_DEFINITION = {
    "metadata": {"name": "boats.sea.dev"},
    "spec": {
        "group": "sea.dev",
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


async def test_kopf_handles_a_custom_resource_to_the_end(running, client: Client, monkeypatch) -> None:
    import kopf

    from tidegate.kube.api import Resource

    monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
    boats = Resource("sea.dev", "v1", "boats", "Boat")
    await client.create(resources.CUSTOM_RESOURCE_DEFINITIONS, BOAT_DEFINITION)
    registry = kopf.OperatorRegistry()
    seen: list[str] = []
    told = asyncio.Event()

    @kopf.on.login(registry=registry)
    def login(**more: Any) -> Any:
        return kopf.login_with_kubeconfig(**more)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = True

    @kopf.on.create("sea.dev", "v1", "boats", registry=registry)
    def created(spec: Any, patch: Any, **_: Any) -> None:
        seen.append("created")
        patch.status["sails"] = spec["sails"]

    @kopf.on.delete("sea.dev", "v1", "boats", registry=registry)
    def deleted(**_: Any) -> None:
        seen.append("deleted")
        told.set()

    stop, ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.ensure_future(
        kopf.operator(registry=registry, clusterwide=True, stop_flag=stop, ready_flag=ready, standalone=True)
    )
    try:
        await asyncio.wait_for(ready.wait(), 30)
        body = {"metadata": {"name": "argo", "namespace": "default"}, "spec": {"sails": 2}}
        await client.create(boats, body)
        async with asyncio.timeout(30):
            while (await client.get(boats, "argo", "default")).get("status", {}).get("sails") != 2:
                await asyncio.sleep(0.02)
            await client.delete(boats, "argo", "default")
            await told.wait()
            while (await client.list(boats)).items:
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await asyncio.wait_for(operator, 30)
    assert seen == ["created", "deleted"]
