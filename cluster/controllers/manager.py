"""Runs the built-in controllers: watch, queue the keys that a change concerns, plan, perform.

It lives in the API server's process over an in-process `Api`; one change leads to the next write without timers or
batches. A slow resync queues everything again, so that a lost event costs minutes, not correctness.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from cluster.api import selectors
from cluster.controllers import endpoints, owners, replicasets
from cluster.controllers.actions import Action, PatchStatus, Plan, is_deleting
from cluster.controllers.disruptions import BUDGETS
from cluster.controllers.perform import perform
from cluster.controllers.reconcilers import Reconcilers
from cluster.controllers.scheduler import is_unscheduled
from cluster.controllers.usage import Meter
from cluster.controllers.watches import Watches
from cluster.controllers.workqueue import WorkQueue
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, Resource, name_of, namespace_of
from tidegate.process import tasks

RESYNC_S = 300.0
COUNTS_DELAY_S = 0.03
"""Nobody waits for the replica counts of a Deployment or ReplicaSet, and every write of theirs is told to all watchers:
written at once they would cost a cold start more than the pod's own way."""


CORE_ENDPOINTS_DELAY_S = 0.3


class Key(NamedTuple):
    """What to reconcile: the controller, and the object it is about."""

    controller: str
    resource: Resource
    namespace: str
    name: str


_CONTROLLERS: dict[Resource, str] = {
    resources.DEPLOYMENTS: "deployment",
    resources.REPLICA_SETS: "replica_set",
    resources.SERVICES: "service",
    resources.NODES: "node",
    resources.NAMESPACES: "namespace",
    BUDGETS: "budget",
    resources.HORIZONTAL_POD_AUTOSCALERS: "horizontal",
}


async def run(api: Api, *, root_ca_pem: str = "", resync_s: float = RESYNC_S, meter: Meter | None = None) -> None:
    """Run all built-in controllers until cancelled; `root_ca_pem` goes into each namespace's `kube-root-ca.crt`,
    `meter` tells what a node's pods use (without it nothing is scaled by that)."""
    manager = Manager(api, root_ca_pem, meter)
    try:
        await manager.start()
        work = tasks.spawn(manager.queue.run(), "controllers")
        try:
            while True:
                await asyncio.sleep(resync_s)
                manager.add_all()
        finally:
            await tasks.cancel(work)
    finally:
        await manager.watches.stop()


class Manager:
    """The wiring: which change concerns which key."""

    def __init__(self, api: Api, root_ca_pem: str = "", meter: Meter | None = None) -> None:
        self._api = api
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        self.watches = Watches(api, self._changed)
        self._scheduling = asyncio.Lock()
        self._counts_due: dict[Key, float] = {}
        self._reconcilers = Reconcilers(api, self.watches, root_ca_pem, meter)

    async def start(self) -> None:
        """List everything once; the changes of these lists fill the queue."""
        await self.watches.start()
        self.add_all()

    def add_all(self) -> None:
        """Queue every key there is."""
        for resource in self.watches.watched():
            for obj in self.watches.view(resource):
                self._add_concerned(resource, None, obj)

    async def _reconcile(self, key: Key) -> float | None:
        if key.controller == "pod":
            # One at a time: each placement must see the room that the one before it took.
            async with self._scheduling:
                return await self._step(key)
        return await self._step(key)

    async def _step(self, key: Key) -> float | None:
        step = self._reconcilers
        match key.controller:
            case "dependent":
                plan = await step.dependent(key.resource, key.namespace, key.name)
            case "owner":
                plan = await step.owner(key.resource, key.namespace, key.name)
            case name:
                plan = await getattr(step, name)(key.namespace, key.name)
        return await self._perform(key, plan)

    async def _perform(self, key: Key, plan: Plan) -> float | None:
        """Write specs at once; counts of replicas a moment later, when the pods they count are on their way."""
        counts = [action for action in plan.actions if _is_count(action)]
        try:
            await perform(self._api, self.watches, [action for action in plan.actions if not _is_count(action)])
        except ApiError as error:
            if key.controller == "replica_set" and error.reason in ("Forbidden", "Invalid"):
                await self._tell_refusal(key, error)
            raise
        if not counts:
            self._counts_due.pop(key, None)
            return plan.again_in_s
        now = asyncio.get_running_loop().time()
        wait_s = self._counts_due.setdefault(key, now + COUNTS_DELAY_S) - now
        if wait_s > 0:
            return wait_s
        del self._counts_due[key]
        await perform(self._api, self.watches, counts)
        return plan.again_in_s

    async def _tell_refusal(self, key: Key, error: ApiError) -> None:
        """The server takes no pod of this ReplicaSet, for its quota or its rules: the Deployment has to show that."""
        found = self.watches.view(resources.REPLICA_SETS).get(key.name, key.namespace)
        if found is not None:
            await perform(self._api, self.watches, replicasets.failed(found, error.message, time.time()))

    def _changed(self, resource: Resource, kind: str, old: Object | None, new: Object | None) -> None:
        self._add_concerned(resource, old, new)
        if kind == "DELETED" and old is not None:
            self._add_collected(old)

    def _add_concerned(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        if controller := _CONTROLLERS.get(resource):
            self._add(controller, resource, obj)
        if resource == resources.PODS:
            self._pod_changed(old, new)
        elif resource == resources.REPLICA_SETS:
            self._add_controller_of(obj)
        elif resource == resources.ENDPOINT_SLICES and endpoints.is_managed(obj):
            service = (obj["metadata"].get("labels") or {}).get(endpoints.SERVICE_NAME, "")
            self.queue.add(Key("service", resources.SERVICES, namespace_of(obj), service))
            self._add_core_endpoints(namespace_of(obj), service)
        elif resource == resources.SERVICES:
            self._add_core_endpoints(namespace_of(obj), name_of(obj))
        elif resource == resources.CLUSTER_ROLES:
            for role in self.watches.view(resources.CLUSTER_ROLES):
                if role.get("aggregationRule"):
                    self._add("cluster_role", resource, role)
        elif resource == resources.NODES:
            self._add_unscheduled()
        elif resource == resources.CUSTOM_RESOURCE_DEFINITIONS:
            self.watches.set_custom(self.watches.view(resource).cache.objects.values())
        elif resource in (resources.SERVICE_ACCOUNTS, resources.CONFIG_MAPS) and new is None:
            self.queue.add(Key("namespace", resources.NAMESPACES, "", namespace_of(obj)))
        self._ownership_changed(resource, old, new)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        assert pod is not None
        self._add_controller_of(pod)
        if new is not None and is_unscheduled(new):
            self._add("pod", resources.PODS, new)
        elif new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            self._add_unscheduled()  # room has become free
        if new is not None and is_deleting(new):
            self.queue.add(Key("node", resources.NODES, "", new["spec"].get("nodeName") or ""))
        for budget in self.watches.view(BUDGETS).by_index("namespace", namespace_of(pod)):
            if any(selectors.selects(budget, one) for one in (old, new) if one is not None):
                self._add("budget", BUDGETS, budget)
        for service in self.watches.view(resources.SERVICES).by_index("namespace", namespace_of(pod)):
            if any(endpoints.is_selected(service, one) for one in (old, new) if one is not None):
                self._add("service", resources.SERVICES, service)

    def _add_core_endpoints(self, namespace: str, service: str) -> None:
        key = Key("core_endpoints", resources.SERVICES, namespace, service)
        self.queue.add_within(key, CORE_ENDPOINTS_DELAY_S)

    def _add_unscheduled(self) -> None:
        for pod in self.watches.view(resources.PODS).by_index("unscheduled", "yes"):
            self._add("pod", resources.PODS, pod)

    def _add_controller_of(self, obj: Object) -> None:
        for reference in obj["metadata"].get("ownerReferences") or []:
            for resource in (resources.REPLICA_SETS, resources.DEPLOYMENTS):
                if reference.get("controller") and reference["kind"] == resource.kind:
                    self.queue.add(Key(_CONTROLLERS[resource], resource, namespace_of(obj), reference["name"]))

    def _ownership_changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        references = ((new or {}).get("metadata") or {}).get("ownerReferences")
        if new is not None and references and references != ((old or {}).get("metadata") or {}).get("ownerReferences"):
            self._add("dependent", resource, new)
        finalizers = ((new or {}).get("metadata") or {}).get("finalizers") or []
        if new is not None and is_deleting(new) and {owners.FOREGROUND, owners.ORPHAN} & set(finalizers):
            self._add("owner", resource, new)
            for kind, one in self.watches.dependents(str(new["metadata"]["uid"])):
                self._add("dependent", kind, one)

    def _add_collected(self, gone: Object) -> None:
        """Something is gone: its dependents may have to follow, its deleted owners may have waited for it."""
        for resource, one in self.watches.dependents(str(gone["metadata"].get("uid", ""))):
            self._add("dependent", resource, one)
        for uid in owners.owner_uids(gone):
            owner = self.watches.by_uid(uid)
            if owner is not None and is_deleting(owner):
                kind = self.watches.of_kind(owner.get("apiVersion", ""), owner.get("kind", ""))
                if kind is not None:
                    self._add("owner", kind, owner)

    def _add(self, controller: str, resource: Resource, obj: Object) -> None:
        self.queue.add(Key(controller, resource, namespace_of(obj), name_of(obj)))


def _is_count(action: Action) -> bool:
    return isinstance(action, PatchStatus) and action.resource in (resources.DEPLOYMENTS, resources.REPLICA_SETS)
