"""Which resources the built-in controllers watch, and where an object of a given uid is.

Built-in kinds from the start, and the kinds of CustomResourceDefinitions as they come and go (garbage collection and
namespace deletion concern them too). It decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cluster.controllers import conditions, endpoints
from cluster.controllers.core_endpoints import ENDPOINTS
from cluster.controllers.disruptions import BUDGETS
from cluster.controllers.owners import owner_uids
from cluster.controllers.scheduler import is_unscheduled
from cluster.controllers.views import Indexer, View
from tidegate.kube import resources
from tidegate.kube.api import Api, Object, Resource, labels_of, namespace_of
from tidegate.process import tasks

log = logging.getLogger(__name__)

BUILT_IN = (
    resources.NAMESPACES,
    resources.NODES,
    resources.PODS,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.SECRETS,
    resources.SERVICE_ACCOUNTS,
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.ENDPOINT_SLICES,
    resources.ROLES,
    resources.ROLE_BINDINGS,
    resources.CLUSTER_ROLES,
    resources.CUSTOM_RESOURCE_DEFINITIONS,
    resources.HORIZONTAL_POD_AUTOSCALERS,
    BUDGETS,
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    Resource("", "v1", "resourcequotas", "ResourceQuota"),
    Resource("", "v1", "limitranges", "LimitRange"),
)
UNWATCHED = (resources.EVENTS, resources.LEASES, ENDPOINTS)
"""Namespaced kinds that change too often to be watched whole; namespace deletion lists them."""
NODE_LEASES = "kube-node-lease"
SYNC_TIMEOUT_S = 60.0
GONE_LIMIT = 10_000
CRASH_PAUSE_S = 1.0

OnChange = Callable[[Resource, str, Object | None, Object | None], None]

_INDEXERS: dict[Resource, dict[str, Indexer]] = {
    resources.PODS: {
        "namespace": lambda pod: (namespace_of(pod),),
        "node": lambda pod: (pod["spec"].get("nodeName") or "",),
        "unscheduled": lambda pod: ("yes",) if is_unscheduled(pod) else (),
    },
    BUDGETS: {"namespace": lambda budget: (namespace_of(budget),)},
    resources.SERVICES: {"namespace": lambda service: (namespace_of(service),)},
    resources.ENDPOINT_SLICES: {"service": lambda one: (service_key(one),) if endpoints.is_managed(one) else ()},
}


def service_key(endpoint_slice: Object) -> str:
    """Return `namespace/service` of a slice."""
    return f"{namespace_of(endpoint_slice)}/{labels_of(endpoint_slice).get(endpoints.SERVICE_NAME, '')}"


def without_managers(obj: Object) -> Object:
    """Return an object without managedFields, which are half of it and which no controller reads."""
    kept = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return obj | {"metadata": kept}


def lineage(obj: Object) -> Object:
    """Return what garbage collection, namespace deletion and budgets look at in an object of a kind unknown here."""
    shrunk = without_managers(obj)
    shrunk["metadata"].pop("annotations", None)
    spec = obj.get("spec")
    replicas = {"spec": {"replicas": spec["replicas"]}} if isinstance(spec, dict) and "replicas" in spec else {}
    return {name: shrunk[name] for name in ("apiVersion", "kind", "metadata") if name in shrunk} | replicas


@dataclass(frozen=True, slots=True)
class _Watch:
    view: View
    task: asyncio.Task[None]


class Watches:
    """The views of all watched resources; `on_change(resource, type, old, new)` is called for each change."""

    def __init__(self, api: Api, on_change: OnChange) -> None:
        self._api = api
        self._on_change = on_change
        self._watches: dict[Resource, _Watch] = {}
        self._by_uid: dict[str, tuple[Resource, str, str]] = {}
        self._gone: dict[str, None] = {}
        self.leases = self._watch(resources.LEASES, NODE_LEASES)

    def view(self, resource: Resource) -> View:
        """Return the view of a watched resource."""
        return self._watches[resource].view

    def find(self, resource: Resource) -> View | None:
        """Return the view of a resource, None when it is not watched."""
        watch = self._watches.get(resource)
        return watch.view if watch else None

    def watched(self) -> list[Resource]:
        """Return all resources watched whole."""
        return list(self._watches)

    def namespaced(self) -> list[Resource]:
        """Return every namespaced resource there is."""
        return [one for one in (*self._watches, *UNWATCHED) if one.namespaced]

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource an ownerReference means; any version of a group will do."""
        group = api_version.rpartition("/")[0]
        return next((one for one in self._watches if one.kind == kind and one.group == group), None)

    def by_uid(self, uid: str) -> Object | None:
        """Return the object with this uid if a cache has it."""
        where = self._by_uid.get(uid)
        watch = self._watches.get(where[0]) if where else None
        found = watch.view.get(where[2], where[1]) if where and watch else None
        return found if found and found["metadata"].get("uid") == uid else None

    def is_gone(self, uid: str) -> bool:
        """Whether the object with this uid was seen to be deleted, of late."""
        return uid in self._gone

    def dependents(self, uid: str) -> list[tuple[Resource, Object]]:
        """Return every object that names `uid` as an owner."""
        return [
            (resource, one) for resource, watch in self._watches.items() for one in watch.view.by_index("owner", uid)
        ]

    async def start(self) -> None:
        """Watch the built-in kinds and the CustomResourceDefinitions already there; returns once all have listed."""
        for resource in BUILT_IN:
            self.add(resource)
        waits = [watch.view.cache.wait_synced(SYNC_TIMEOUT_S) for watch in list(self._watches.values())]
        await asyncio.gather(*waits)

    def add(self, resource: Resource) -> None:
        """Begin to watch `resource` unless it is watched already."""
        if resource not in self._watches:
            self._watches[resource] = self._watch(resource)

    def set_custom(self, definitions: Iterable[Object]) -> None:
        """Watch exactly the established CustomResourceDefinitions' storage versions, beside the built-in kinds."""
        wanted = {one for definition in definitions if (one := custom_resource(definition))}
        for resource in wanted:
            self.add(resource)
        for resource in [one for one in self._watches if one not in wanted and one not in BUILT_IN]:
            self._watches.pop(resource).task.cancel()

    async def stop(self) -> None:
        """Stop all watches."""
        await tasks.cancel(self.leases.task, *(watch.task for watch in self._watches.values()))

    def _watch(self, resource: Resource, namespace: str = "") -> _Watch:
        indexers = {"owner": owner_uids, **_INDEXERS.get(resource, {})}
        shrink = without_managers if resource in (*BUILT_IN, resources.LEASES) else lineage
        view = View(self._api, resource, namespace, indexers=indexers, shrink=shrink)

        def changed(kind: str, old: Object | None, new: Object | None) -> None:
            if not namespace:
                self._index(resource, old, new)
            self._on_change(resource, kind, old, new)

        view.cache.on_change(changed)
        return _Watch(view, tasks.spawn(_keep(view), f"watch-{resource.plural}"))

    def _index(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._by_uid.pop(old["metadata"].get("uid", ""), None)
            self._gone[old["metadata"].get("uid", "")] = None
        if new is not None:
            self._gone.pop(new["metadata"].get("uid", ""), None)
            self._by_uid[new["metadata"].get("uid", "")] = (resource, namespace_of(new), new["metadata"]["name"])
        while len(self._gone) > GONE_LIMIT:
            del self._gone[next(iter(self._gone))]


async def _keep(view: View) -> None:
    """Keep the cache current; a fault of ours costs a relist, never the controllers."""
    while True:
        try:
            await view.cache.run()
        except Exception:
            log.exception("the watch of %s failed; it begins anew", view.resource.plural)
            await asyncio.sleep(CRASH_PAUSE_S)


def custom_resource(definition: Object) -> Resource | None:
    """Return the resource a CustomResourceDefinition serves in its storage version, None until it is established."""
    if definition["metadata"].get("deletionTimestamp") or not conditions.is_true(definition, "Established"):
        return None
    spec = definition["spec"]
    served = [one for one in spec["versions"] if one.get("served", True)]
    version = next((one["name"] for one in served if one.get("storage")), served[0]["name"] if served else "")
    if not version:
        return None
    return Resource(
        spec["group"], version, spec["names"]["plural"], spec["names"]["kind"], spec["scope"] == "Namespaced"
    )
