"""One step per controller: gather the objects of a key from the views, ask the pure plan, return it.

Only reads. Writing is `perform`'s; choosing keys is the manager's.
"""

from __future__ import annotations

import time

from cluster.api import selectors
from cluster.controllers import (
    aggregation,
    conditions,
    core_endpoints,
    deployments,
    disruptions,
    endpoints,
    horizontal,
    namespaces,
    nodes,
    owners,
    replicasets,
    scheduler,
)
from cluster.controllers.actions import Plan, controller_uid, is_deleting
from cluster.controllers.scaling_rules import History
from cluster.controllers.usage import Amount, Meter
from cluster.controllers.watches import Watches
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, Resource, name_of


class Reconcilers:
    """The built-in controllers over one set of views."""

    def __init__(self, api: Api, watches: Watches, root_ca_pem: str = "", meter: Meter | None = None) -> None:
        self._api = api
        self._watches = watches
        self._root_ca_pem = root_ca_pem
        self._meter = meter
        self._histories: dict[str, History] = {}
        self._started_unix_s = time.time()

    async def deployment(self, namespace: str, name: str) -> Plan:
        """Plan one Deployment."""
        found = self._watches.view(resources.DEPLOYMENTS).get(name, namespace)
        if found is None:
            return Plan()
        return deployments.plan(found, self._controlled(resources.REPLICA_SETS, found), time.time())

    async def replica_set(self, namespace: str, name: str) -> Plan:
        """Plan one ReplicaSet."""
        found = self._watches.view(resources.REPLICA_SETS).get(name, namespace)
        if found is None:
            return Plan()
        return replicasets.plan(found, self._controlled(resources.PODS, found), time.time())

    async def service(self, namespace: str, name: str) -> Plan:
        """Plan the slices of one Service."""
        found = self._watches.view(resources.SERVICES).get(name, namespace)
        if found is None:
            return Plan()  # its slices go with their owner
        slices = self._watches.view(resources.ENDPOINT_SLICES).by_index("service", f"{namespace}/{name}")
        pods = self._watches.view(resources.PODS).by_index("namespace", namespace)
        return endpoints.plan(found, [pod for pod in pods if endpoints.is_selected(found, pod)], slices)

    async def core_endpoints(self, namespace: str, name: str) -> Plan:
        """Plan the Endpoints object of one Service."""
        found = self._watches.view(resources.SERVICES).get(name, namespace)
        slices = self._watches.view(resources.ENDPOINT_SLICES).by_index("service", f"{namespace}/{name}")
        try:
            present = await self._api.get(core_endpoints.ENDPOINTS, name, namespace)
        except ApiError as error:
            if not error.is_not_found:
                raise
            present = None
        return core_endpoints.plan(found, list(slices), present)

    async def budget(self, namespace: str, name: str) -> Plan:
        """Plan the status of one PodDisruptionBudget."""
        found = self._watches.view(disruptions.BUDGETS).get(name, namespace)
        if found is None:
            return Plan()
        pods = self._watches.view(resources.PODS).by_index("namespace", namespace)
        selected = [pod for pod in pods if selectors.selects(found, pod)]
        wanted = {}
        for uid in {controller_uid(pod) for pod in selected} - {""}:
            if (owner := self._watches.by_uid(uid)) is not None and "replicas" in (owner.get("spec") or {}):
                wanted[uid] = int(owner["spec"]["replicas"])
        return disruptions.plan(found, selected, wanted, time.time())

    async def horizontal(self, namespace: str, name: str) -> Plan:
        """Plan the Deployment of one HorizontalPodAutoscaler, and its status."""
        found = self._watches.view(resources.HORIZONTAL_POD_AUTOSCALERS).get(name, namespace)
        if found is None or self._meter is None:
            self._histories.pop(f"{namespace}/{name}", None)
            return Plan()
        target = found["spec"]["scaleTargetRef"]
        deployment = self._watches.view(resources.DEPLOYMENTS).get(target["name"], namespace)
        if target["kind"] != resources.DEPLOYMENTS.kind or deployment is None:
            return Plan([], horizontal.PERIOD_S)
        sets = self._controlled(resources.REPLICA_SETS, deployment)
        pods = [pod for one in sets for pod in self._controlled(resources.PODS, one) if replicasets.is_active(pod)]
        nodes_of = {pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")}
        amounts = await self._meter.amounts(nodes_of)
        seen = [_seen(pod, amounts.get((namespace, name_of(pod)))) for pod in pods]
        earlier = self._histories.get(f"{namespace}/{name}", History())
        plan, self._histories[f"{namespace}/{name}"] = horizontal.plan(found, deployment, seen, earlier, time.time())
        return plan

    async def cluster_role(self, _namespace: str, name: str) -> Plan:
        """Plan one aggregated ClusterRole."""
        view = self._watches.view(resources.CLUSTER_ROLES)
        found = view.get(name)
        return aggregation.plan(found, list(view)) if found else Plan()

    async def pod(self, namespace: str, name: str) -> Plan:
        """Give one pod a node."""
        pods = self._watches.view(resources.PODS)
        found = pods.get(name, namespace)
        if found is None or not scheduler.is_unscheduled(found):
            return Plan()
        placed = [one for one in pods if one["spec"].get("nodeName") and _uses_room(one)]
        return scheduler.plan(found, list(self._watches.view(resources.NODES)), placed, time.time())

    async def node(self, _namespace: str, name: str) -> Plan:
        """Look after one node and the pods that name it."""
        pods = self._watches.view(resources.PODS).by_index("node", name)
        found = self._watches.view(resources.NODES).get(name)
        if found is None:
            return nodes.plan_lost_pods(pods)
        lease = self._watches.leases.view.get(name, "kube-node-lease")
        return nodes.plan(found, lease, pods, time.time(), self._started_unix_s)

    async def namespace(self, _namespace: str, name: str) -> Plan:
        """Fill a new namespace, empty a deleted one."""
        found = self._watches.view(resources.NAMESPACES).get(name)
        if found is None:
            return Plan()
        if is_deleting(found):
            return namespaces.plan_deletion(found, await self._contents(name))
        has_account = self._watches.view(resources.SERVICE_ACCOUNTS).get("default", name) is not None
        has_root_ca = self._watches.view(resources.CONFIG_MAPS).get(namespaces.ROOT_CA, name) is not None
        return namespaces.plan_active(found, has_account, has_root_ca, self._root_ca_pem)

    async def dependent(self, resource: Resource, namespace: str, name: str) -> Plan:
        """Collect one object if its owners are gone."""
        view = self._watches.find(resource)
        found = view.get(name, namespace) if view else None
        if found is None or not owners.owner_uids(found):
            return Plan()
        known = {}
        for reference in found["metadata"]["ownerReferences"]:
            known[str(reference["uid"])] = await self._owner(reference, namespace)
        return owners.plan_dependent(resource, found, known)

    async def owner(self, resource: Resource, namespace: str, name: str) -> Plan:
        """Let go of a deleted owner that waits for its dependents."""
        view = self._watches.find(resource)
        found = view.get(name, namespace) if view else None
        if found is None or not is_deleting(found):
            return Plan()
        return owners.plan_owner(resource, found, self._watches.dependents(str(found["metadata"]["uid"])))

    def _controlled(self, resource: Resource, owner: Object) -> list[Object]:
        uid = str(owner["metadata"]["uid"])
        return [one for one in self._watches.view(resource).by_index("owner", uid) if controller_uid(one) == uid]

    async def _contents(self, namespace: str) -> list[tuple[Resource, Object]]:
        found: list[tuple[Resource, Object]] = []
        for resource in self._watches.namespaced():
            try:
                page = await self._api.list(resource, namespace)
            except ApiError as error:
                if error.is_not_found:
                    continue  # the kind itself has just gone
                raise
            found += [(resource, one) for one in page.items]
        return found

    async def _owner(self, reference: Object, namespace: str) -> Object | None:
        """Return the owner; asks the server before saying that it is gone, for caches lag behind each other."""
        uid = str(reference["uid"])
        cached = self._watches.by_uid(uid)
        if cached is not None:
            return cached
        if self._watches.is_gone(uid):
            return None
        resource = self._watches.of_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return reference  # an unknown kind proves nothing: keep the dependent
        try:
            found = await self._api.get(resource, reference["name"], namespace if resource.namespaced else "")
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        return found if found["metadata"].get("uid") == uid else None


def _uses_room(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _seen(pod: Object, used: Amount | None) -> horizontal.Seen:
    asked = {name: float(amount) for name, amount in scheduler.requests(pod).items()}
    return horizontal.Seen(conditions.is_true(pod, "Ready"), asked, used._asdict() if used else {})
