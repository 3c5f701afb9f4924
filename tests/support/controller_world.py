"""The controller over an in-memory API server: everything but kopf, the webhook and TLS is real.

`settle` delivers what the server has and works until nothing is left; `check` looks at the whole state afterwards,
so that no test needs to. Deployments, pods and PodAutoscalers are played by the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from controller import objects
from controller.admission import review
from controller.cluster_config import ClusterConfig
from controller.gateways import Gateways
from controller.gather import World
from controller.objects import Objects
from controller.worker import Worker
from tests.support.fake_api import FakeApi
from tidegate.contracts import conditions, names, serving
from tidegate.contracts.config.deployment import DeploymentConfig
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource
from tidegate.process import tasks

NAMESPACE = "default"
NO_LOOKUPS = DeploymentConfig(registries_without_digests=frozenset({"*"}))
USER = "ann@example.com"


class ReviewedApi(FakeApi):
    """An API server that asks admission, as the real one does by webhook."""

    config = ClusterConfig()
    on_store: Callable[[Object], None] = staticmethod(lambda obj: None)

    def _store(self, key: tuple[Resource, str, str], obj: Object, kind: str) -> None:
        super()._store(key, obj, kind)
        self.on_store(obj)

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        obj = self._review(resource, obj, None)
        return await super().create(resource, obj, namespace, subresource, dry_run=dry_run)

    def _write(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        if not subresource:
            new = self._review(resource, new, old)
        return super()._write(resource, old, new, subresource)

    def _review(self, resource: Resource, obj: Object, old: Object | None) -> Object:
        if not resource.group.endswith("knative.dev"):
            return obj
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        changed = review.defaulted(obj, old, USER, self.config)
        found = review.problems_of(changed, old, self.config)
        assert not found, found
        return changed


class ControllerWorld:
    """A controller and the API server it looks at."""

    def __init__(
        self, config: ClusterConfig | None = None, gateways: Callable[[FakeApi], Gateways] | None = None
    ) -> None:
        self.api = ReviewedApi()
        self.config = config or ClusterConfig(
            deployment=NO_LOOKUPS, autoscaler_address="127.1.128.1:8080", report_key=b"k" * 32
        )
        loop, began = asyncio.get_running_loop(), self.api.now
        self.gateways = gateways(self.api) if gateways is not None else None
        world = World(Objects(), self.config)
        self.worker = Worker(self.api, world, 4, lambda: began + loop.time(), gateways=self.gateways)

    async def settle(self) -> None:
        """Deliver everything and work until there is nothing to do; then check the whole state."""
        for turn in range(400):
            self._deliver()
            await asyncio.sleep(0 if turn < 200 else 0.1)  # back-offs pass in virtual time
            if self.worker.is_idle and not self._deliver():
                break
        else:
            raise AssertionError("the controller does not come to rest")
        check(self.api)

    async def turn(self, seconds: float) -> None:
        """Deliver everything, and let some time pass whatever is left to do."""
        for _ in range(20):
            self._deliver()
            await asyncio.sleep(0)
        await asyncio.sleep(seconds)

    def get(self, resource: Resource, name: str) -> Object:
        """Return an object; it must exist."""
        found = self.api.peek(resource, name, NAMESPACE)
        assert found is not None, f"no {resource.kind} {name} among {sorted(key[2] for key in self.api.objects)}"
        return found

    def condition(self, resource: Resource, name: str, kind: str = "Ready") -> tuple[str, str, str]:
        """Return a condition's status, reason and message."""
        found = conditions.find(self.get(resource, name), kind)
        assert found is not None, f"{name} has no condition {kind}"
        return found["status"], found.get("reason", ""), found.get("message", "")

    async def apply(self, obj: Object) -> Object:
        """Create or replace what a user applies, and settle."""
        resource = objects.BY_KIND[obj["apiVersion"], obj["kind"]]
        old = self.api.peek(resource, obj["metadata"]["name"], NAMESPACE)
        if old is None:
            await self.api.create(resource, obj)
        else:
            annotations = (old["metadata"].get("annotations") or {}) | (obj["metadata"].get("annotations") or {})
            metadata = old["metadata"] | obj["metadata"] | {"annotations": annotations}
            await self.api.replace(resource, old | {"metadata": metadata, "spec": obj["spec"]})
        await self.settle()
        return self.get(resource, obj["metadata"]["name"])

    async def make_ready(self, revision: str, replicas: int = 1) -> None:
        """Play Deployment controller and autoscaler: all pods of a revision are up; then settle."""
        self.play_ready(revision, replicas)
        await self.settle()

    def play_ready(self, revision: str, replicas: int = 1) -> None:
        """Play Deployment controller and autoscaler: all pods of a revision are up."""
        deployment = self.get(resources.DEPLOYMENTS, names.deployment_name(revision))
        generation = deployment["metadata"]["generation"]
        deployment["status"] = {
            "observedGeneration": generation,
            "replicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [{"type": "Progressing", "status": "True"}],
        }
        self.api.put(resources.DEPLOYMENTS, deployment)
        self.play_autoscaler(revision, "True", actual=replicas, desired=replicas)

    async def make_idle(self, revision: str) -> None:
        """Play the autoscaler: a revision went to zero."""
        deployment = self.get(resources.DEPLOYMENTS, names.deployment_name(revision))
        deployment["spec"]["replicas"] = 0
        deployment["status"] |= {"replicas": 0, "readyReplicas": 0, "availableReplicas": 0}
        self.api.put(resources.DEPLOYMENTS, deployment)
        self.play_autoscaler(revision, "False", "NoTraffic", "The target is not receiving traffic.")
        await self.settle()

    def play_autoscaler(
        self, revision: str, status: str, reason: str = "", message: str = "", *, actual: int = 0, desired: int = 0
    ) -> None:
        """Write a PodAutoscaler's status; it is initialised from the first True on."""
        scaler = self.get(resources.POD_AUTOSCALERS, revision)
        told = {"status": status} | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})
        before = conditions.find(scaler, "ScaleTargetInitialized") or {"status": "Unknown"}
        initialised = "True" if "True" in (status, before["status"]) else "Unknown"
        scaler["status"] = {
            "serviceName": names.private_service_name(revision),
            "actualScale": actual,
            "desiredScale": desired,
            "observedGeneration": scaler["metadata"]["generation"],
            "conditions": [
                {"type": "Active", **told},
                {"type": "Ready", **told},
                {"type": "ScaleTargetInitialized", "status": initialised},
            ],
        }
        self.api.put(resources.POD_AUTOSCALERS, scaler)

    def _deliver(self) -> bool:
        known, news = self.worker.world.known, False
        for resource in objects.WATCHED:
            present = {
                (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) for obj in self.api.all(resource)
            }
            for gone in known.names(resource) - present:
                self.worker.forget(resource, *gone)
                news = True
            for obj in self.api.all(resource):
                version = obj["metadata"]["resourceVersion"]
                old = known.get(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                if old is None or old["metadata"]["resourceVersion"] != version:
                    self.worker.see(resource, obj)
                    news = True
        return news


@contextlib.asynccontextmanager
async def controller_world(
    config: ClusterConfig | None = None, gateways: Callable[[FakeApi], Gateways] | None = None
) -> AsyncIterator[ControllerWorld]:
    """Run a controller for the length of a test; `gateways` makes those that it asks, None when nobody is asked."""
    world = ControllerWorld(config, gateways)
    task = tasks.spawn(world.worker.run(), "worker")
    try:
        yield world
    finally:
        await tasks.cancel(task)


def service(
    name: str = "hello", *, image: str = "hello:1", traffic: list[Object] | None = None, **template: Any
) -> Object:
    """Return a Service as a user writes it; keyword arguments go into the template's metadata."""
    spec: Object = {"template": {"metadata": template, "spec": {"containers": [{"image": image}]}}}
    if traffic is not None:
        spec["traffic"] = traffic
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def check(api: FakeApi) -> None:
    """Assert what must hold of the whole state after any event."""
    by_uid = {obj["metadata"]["uid"]: obj for obj in api.objects.values()}
    for (resource, namespace, name), obj in api.objects.items():
        owner = serving.controller_of(obj)
        if owner is not None and owner["uid"] in by_uid:
            parent = by_uid[owner["uid"]]
            assert (parent["kind"], parent["metadata"]["name"]) == (owner["kind"], owner["name"])
        _check_conditions(resource, obj)
        if resource is resources.ROUTES and conditions.is_ready(obj):
            for target in (obj.get("status") or {}).get("traffic") or []:
                assert api.peek(resources.REVISIONS, target["revisionName"], namespace), f"{name} routes to nothing"
    for revision in api.all(resources.REVISIONS):
        assert serving.routing_state(revision) in ("active", "reserve", "pending")


def _check_conditions(resource: Resource, obj: Object) -> None:
    kinds = {
        resources.KNATIVE_SERVICES: conditions.SERVICE,
        resources.CONFIGURATIONS: conditions.CONFIGURATION,
        resources.REVISIONS: conditions.REVISION,
        resources.ROUTES: conditions.ROUTE,
    }.get(resource)
    found = (obj.get("status") or {}).get("conditions")
    if kinds is None or not found:
        return
    types = [condition["type"] for condition in found]
    assert types == sorted(types) and len(set(types)) == len(types)
    assert {"Ready", *kinds.dependents} <= set(types)
    by_type = {condition["type"]: condition for condition in found}
    states = [by_type[kind]["status"] for kind in kinds.dependents]
    ready = by_type["Ready"]["status"]
    if "False" in states:
        assert ready == "False", f"{obj['metadata']['name']}: {found}"
    elif "Unknown" in states:
        assert ready == "Unknown", f"{obj['metadata']['name']}: {found}"
    elif states:
        assert ready == "True", f"{obj['metadata']['name']}: {found}"
