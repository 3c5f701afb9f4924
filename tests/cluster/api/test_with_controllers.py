"""The API server with its built-in controllers: what one write leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.cluster.api.test_kubectl import DEPLOYMENT
from tests.cluster.api.test_quotas import QUOTAS, quota
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.kube.client import Client

pytestmark = pytest.mark.parametrize("running", [{"controllers": True}], indirect=True)

ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")


async def until(client: Client, resource: Resource, name: str, holds: Callable[[Object], object]) -> Object:
    async with asyncio.timeout(30):
        while True:
            try:
                found = await client.get(resource, name, "default" if resource.namespaced else "")
                if holds(found):
                    return found
            except ApiError as error:
                assert error.is_not_found
            await asyncio.sleep(0.02)


def condition(obj: Object, kind: str) -> Object:
    return next((one for one in (obj.get("status") or {}).get("conditions") or [] if one["type"] == kind), {})


async def be_ready(client: Client, name: str, **status: str) -> None:
    """Say for the node that a pod is ready."""
    # There is no node here; what the scheduler says of that must not overwrite what we say.
    told = await until(client, resources.PODS, name, lambda one: condition(one, "PodScheduled"))
    conditions = [condition(told, "PodScheduled"), {"type": "Ready", "status": "True"}]
    body = {"status": {"conditions": conditions, **status}}
    await client.patch(resources.PODS, name, body, "default", subresource="status")


async def test_a_quota_error_is_shown_by_the_deployment_until_it_is_over(client: Client) -> None:
    await client.create(QUOTAS, quota(pods="1"))
    await client.create(resources.DEPLOYMENTS, DEPLOYMENT, "default")
    found = await until(client, resources.DEPLOYMENTS, "web", lambda one: condition(one, "ReplicaFailure"))
    shown = condition(found, "ReplicaFailure")
    assert (shown["status"], shown["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1" in shown["message"]
    await client.patch(QUOTAS, "q", {"spec": {"hard": {"pods": "5"}}}, "default")
    await client.patch(resources.DEPLOYMENTS, "web", {"metadata": {"labels": {"look": "again"}}}, "default")
    await until(client, resources.DEPLOYMENTS, "web", lambda one: not condition(one, "ReplicaFailure"))


async def test_endpoints_follow_the_pods_of_a_service(client: Client) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    await client.create(resources.SERVICES, {"metadata": {"name": "web"}, "spec": spec}, "default")
    pod = {"metadata": {"name": "p", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await client.create(resources.PODS, pod, "default")
    await be_ready(client, "p", podIP="127.0.0.9")
    found = await until(client, ENDPOINTS, "web", lambda one: one.get("subsets") and one["subsets"][0].get("addresses"))
    assert found["subsets"][0]["addresses"][0]["ip"] == "127.0.0.9"
    assert found["subsets"][0]["ports"][0]["port"] == 8080
    await client.delete(resources.SERVICES, "web", "default")
    async with asyncio.timeout(30):
        while (await client.list(ENDPOINTS, "default")).items:
            await asyncio.sleep(0.02)


async def test_a_deleted_namespace_leaves_nothing_of_any_kind(client: Client, running) -> None:
    await client.create(resources.NAMESPACES, {"metadata": {"name": "n"}})
    hpa = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 2}}
    for resource, body in (
        (resources.HORIZONTAL_POD_AUTOSCALERS, hpa),
        (Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"), {"spec": {"minAvailable": 1}}),
        (Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"), {"spec": {"podSelector": {}}}),
        (Resource("", "v1", "limitranges", "LimitRange"), {"spec": {"limits": []}}),
        (ENDPOINTS, {}),
        (QUOTAS, {"spec": {"hard": {}}}),
    ):
        await client.create(resource, {"metadata": {"name": "x", "namespace": "n"}} | body)
    await client.delete(resources.NAMESPACES, "n")
    async with asyncio.timeout(30):
        while any(one["metadata"]["name"] == "n" for one in (await client.list(resources.NAMESPACES)).items):
            await asyncio.sleep(0.02)
    store = running.server.backend.store
    assert [key for collection in store.collections() for key in store.entries(collection, "n")] == []


async def test_foreground_and_orphan_deletion(client: Client) -> None:
    for name, propagation in (("front", "Foreground"), ("orphan", "Orphan")):
        owner = await client.create(resources.CONFIG_MAPS, {"metadata": {"name": name, "namespace": "default"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner["metadata"]["uid"]}
        metadata = {"name": f"{name}-child", "namespace": "default", "finalizers": ["a.b/hold"]}
        metadata["ownerReferences"] = [reference | {"blockOwnerDeletion": True}]
        await client.create(resources.SECRETS, {"metadata": metadata})
        await client.delete(resources.CONFIG_MAPS, name, "default", propagation=propagation)
    child = await until(client, resources.SECRETS, "front-child", lambda one: one["metadata"].get("deletionTimestamp"))
    assert (await client.get(resources.CONFIG_MAPS, "front", "default"))["metadata"]["finalizers"]
    await client.patch(resources.SECRETS, child["metadata"]["name"], {"metadata": {"finalizers": None}}, "default")
    async with asyncio.timeout(30):
        while {"front", "orphan"} & {
            one["metadata"]["name"] for one in (await client.list(resources.CONFIG_MAPS)).items
        }:
            await asyncio.sleep(0.02)
    kept = await client.get(resources.SECRETS, "orphan-child", "default")
    assert "ownerReferences" not in kept["metadata"]
    assert "deletionTimestamp" not in kept["metadata"]


async def test_an_eviction_waits_for_the_budget(client: Client) -> None:
    budgets = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await client.create(budgets, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec})
    for name in "pq":
        pod = {
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "x"}]},
        }
        await client.create(resources.PODS, pod, "default")
        await be_ready(client, name, phase="Running")
    await until(client, budgets, "b", lambda one: (one.get("status") or {}).get("disruptionsAllowed") == 1)

    def eviction(name: str) -> Object:
        return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}

    await client.create(resources.PODS, eviction("p"), "default", "eviction")
    with pytest.raises(ApiError, match="violate the pod's disruption budget") as caught:
        await client.create(resources.PODS, eviction("q"), "default", "eviction")
    assert (caught.value.status, caught.value.reason) == (429, "TooManyRequests")
    found = await until(client, budgets, "b", lambda one: one["status"]["expectedPods"] == 1)
    assert (found["status"]["currentHealthy"], "disruptedPods" in found["status"]) == (1, False)
