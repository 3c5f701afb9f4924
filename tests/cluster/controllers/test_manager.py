"""The built-in controllers together, against a scripted API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from cluster import timestamps
from cluster.controllers import manager
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.process import tasks


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    task = tasks.spawn(manager.run(fake, root_ca_pem="PEM"), "manager")
    yield fake
    await tasks.cancel(task)


async def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


def deployment(replicas: int = 2, image: str = "a", **spec: object) -> Object:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": image, "ports": [{"containerPort": 80}]}]},
            },
            **spec,
        },
    }


def service(**spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "blue"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8012}], **spec},
    }


def node(name: str = "n1", **allocatable: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kind": "local"}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110", **allocatable},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def counts(api: FakeApi) -> Object:
    """Return the Deployment's status."""
    found = api.peek(resources.DEPLOYMENTS, "web", "default") or {}
    return found.get("status") or {}


def make_ready(api: FakeApi, pod: Object, ip: str = "127.9.0.2") -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": timestamps.text(api.now)}
    api.put(resources.PODS, {**pod, "status": {"phase": "Running", "podIP": ip, "conditions": [ready]}})


async def test_deployment_becomes_bound_pods_and_endpoints(api: FakeApi) -> None:
    api.put(resources.NODES, node())
    await api.create(resources.SERVICES, service())
    await api.create(resources.DEPLOYMENTS, deployment())
    await until(lambda: len([pod for pod in api.all(resources.PODS) if pod["spec"].get("nodeName") == "n1"]) == 2)
    for number, pod in enumerate(api.all(resources.PODS)):
        make_ready(api, pod, f"127.9.0.{number + 2}")

    def listed() -> list[str]:
        slices = api.all(resources.ENDPOINT_SLICES)
        return [one["addresses"][0] for one in slices[0]["endpoints"] if one["conditions"]["ready"]] if slices else []

    await until(lambda: sorted(listed()) == ["127.9.0.2", "127.9.0.3"])
    (endpoint_slice,) = api.all(resources.ENDPOINT_SLICES)
    assert endpoint_slice["metadata"]["labels"] == {
        "team": "blue",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    await until(lambda: counts(api).get("availableReplicas") == 2)
    status = api.peek(resources.DEPLOYMENTS, "web", "default")["status"]
    assert [(one["type"], one["status"], one["reason"]) for one in status["conditions"]] == [
        ("Available", "True", "MinimumReplicasAvailable"),
        ("Progressing", "True", "NewReplicaSetAvailable"),
    ]


async def test_slow_acknowledgements_do_not_create_pods_twice(api: FakeApi) -> None:
    api.delay_s = 0.01
    await api.create(resources.DEPLOYMENTS, deployment(5))
    await until(lambda: len(api.all(resources.PODS)) == 5)
    await asyncio.sleep(0.05)
    assert len(api.all(resources.PODS)) == 5
    assert len(api.all(resources.REPLICA_SETS)) == 1


async def test_scale_to_zero_and_back(api: FakeApi) -> None:
    api.put(resources.NODES, node())
    await api.create(resources.DEPLOYMENTS, deployment(1))
    await until(lambda: api.all(resources.PODS))
    await api.patch(resources.DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, "default")
    await until(lambda: all(pod["metadata"].get("deletionTimestamp") for pod in api.all(resources.PODS)))
    for pod in api.all(resources.PODS):
        await api.delete(resources.PODS, pod["metadata"]["name"], "default", grace_s=0)
    await until(lambda: not api.all(resources.PODS))
    await api.patch(resources.DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, "default")
    await until(lambda: len(api.all(resources.PODS)) == 3)


async def test_rolling_update_keeps_everything_available(api: FakeApi) -> None:
    api.put(resources.NODES, node())
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await api.create(resources.DEPLOYMENTS, deployment(2, strategy=strategy))
    stop = asyncio.Event()
    low = 99

    async def kubelet() -> None:
        nonlocal low
        was_up = False
        while not stop.is_set():
            for pod in list(api.all(resources.PODS)):
                if pod["metadata"].get("deletionTimestamp"):
                    with contextlib.suppress(Exception):
                        await api.delete(resources.PODS, pod["metadata"]["name"], "default", grace_s=0)
                elif not (pod.get("status") or {}).get("conditions") and pod["spec"].get("nodeName"):
                    make_ready(api, pod)
            ready = [
                pod
                for pod in api.all(resources.PODS)
                if (pod.get("status") or {}).get("podIP") and not pod["metadata"].get("deletionTimestamp")
            ]
            was_up = was_up or len(ready) >= 2
            low = min(low, len(ready)) if was_up else low
            await asyncio.sleep(0.002)

    task = tasks.spawn(kubelet(), "kubelet")
    await until(
        lambda: (api.peek(resources.DEPLOYMENTS, "web", "default").get("status") or {}).get("readyReplicas") == 2
    )
    template = deployment(2, "b")["spec"]["template"]
    await api.patch(resources.DEPLOYMENTS, "web", {"spec": {"template": template}}, "default")

    def done() -> bool:
        images = {pod["spec"]["containers"][0]["image"] for pod in api.all(resources.PODS)}
        status = counts(api)
        return images == {"b"} and status["replicas"] == 2 and status["updatedReplicas"] == 2

    await until(done)
    stop.set()
    await task
    assert low == 2
    assert sorted(one["spec"]["replicas"] for one in api.all(resources.REPLICA_SETS)) == [0, 2]


async def test_unschedulable_pod_says_why_and_is_bound_later(api: FakeApi) -> None:
    api.put(resources.NODES, node())
    containers = [{"name": "c", "image": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    metadata = {"name": "gpu", "namespace": "default"}
    await api.create(resources.PODS, {"metadata": metadata, "spec": {"containers": containers}})

    def message() -> str:
        pod = api.peek(resources.PODS, "gpu", "default")
        found = (pod.get("status") or {}).get("conditions") or [{}]
        return str(found[0].get("message", ""))

    await until(lambda: message() == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    api.put(resources.NODES, node("n2", **{"nvidia.com/gpu": "1"}))
    await until(lambda: api.peek(resources.PODS, "gpu", "default")["spec"].get("nodeName") == "n2")


async def test_owners_are_followed_to_the_last_dependent(api: FakeApi) -> None:
    await api.create(resources.DEPLOYMENTS, deployment(2))
    await until(lambda: len(api.all(resources.PODS)) == 2)
    await api.delete(resources.DEPLOYMENTS, "web", "default")
    await until(lambda: not api.all(resources.PODS) and not api.all(resources.REPLICA_SETS))


async def test_orphans_keep_living(api: FakeApi) -> None:
    await api.create(resources.DEPLOYMENTS, deployment(1))
    await until(lambda: len(api.all(resources.PODS)) == 1)
    patch = {"metadata": {"finalizers": ["orphan"]}}
    await api.patch(resources.DEPLOYMENTS, "web", patch, "default")
    await api.delete(resources.DEPLOYMENTS, "web", "default")
    await until(lambda: not api.all(resources.DEPLOYMENTS))
    (kept,) = api.all(resources.REPLICA_SETS)
    assert not kept["metadata"].get("ownerReferences")
    assert len(api.all(resources.PODS)) == 1


async def test_foreground_deletion_waits_for_dependents(api: FakeApi) -> None:
    api.put(resources.NODES, node())
    await api.create(resources.DEPLOYMENTS, deployment(1))
    await until(lambda: [pod for pod in api.all(resources.PODS) if pod["spec"].get("nodeName")])
    await api.delete(resources.REPLICA_SETS, api.all(resources.REPLICA_SETS)[0]["metadata"]["name"], "default")
    await api.delete(resources.DEPLOYMENTS, "web", "default", propagation="Foreground")
    await until(lambda: not api.all(resources.DEPLOYMENTS))


async def test_a_namespace_is_filled_and_emptied(api: FakeApi) -> None:
    namespace = {"metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes"]}}
    await api.create(resources.NAMESPACES, namespace)
    await until(lambda: api.peek(resources.SERVICE_ACCOUNTS, "default", "shop"))
    await until(lambda: api.peek(resources.CONFIG_MAPS, "kube-root-ca.crt", "shop"))
    await api.create(resources.SECRETS, {"metadata": {"name": "s", "namespace": "shop"}})
    await api.delete(resources.NAMESPACES, "shop")
    await until(lambda: not [key for key in api.objects if key[1] == "shop" or key[2] == "shop"])


async def test_dependents_of_custom_objects_are_collected(api: FakeApi) -> None:
    widgets = Resource("shop.example", "v1", "widgets", "Widget")
    definition = {
        "metadata": {"name": "widgets.shop.example"},
        "spec": {
            "group": "shop.example",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }
    api.put(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
    owner = await api.create(widgets, {"metadata": {"name": "w", "namespace": "default"}})
    reference = {"apiVersion": "shop.example/v1", "kind": "Widget", "name": "w", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "s", "namespace": "default", "ownerReferences": [reference]}
    await api.create(resources.SECRETS, {"metadata": metadata})
    stray = {**reference, "uid": "never-was"}
    await api.create(resources.CONFIG_MAPS, {"metadata": {**metadata, "name": "c", "ownerReferences": [stray]}})
    await until(lambda: not api.peek(resources.CONFIG_MAPS, "c", "default"))
    assert api.peek(resources.SECRETS, "s", "default")
    await api.delete(widgets, "w", "default")
    await until(lambda: not api.peek(resources.SECRETS, "s", "default"))


async def test_conflicts_and_a_broken_watch_delay_but_do_not_stop(api: FakeApi) -> None:
    api.refuse("create", resources.REPLICA_SETS, ApiError(409, "Conflict", "again"), times=3)
    api.refuse("watch", resources.PODS, ApiError(410, "Expired", "relist"))
    await api.create(resources.DEPLOYMENTS, deployment(2))
    await until(lambda: len(api.all(resources.PODS)) == 2)
