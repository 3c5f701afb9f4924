"""What is: the objects the controller looks at, as last seen, with the few ways they are looked up.

Writes come from watches, from answers to our own writes, and from full lists; an older version never replaces a newer
one. Stored objects are shared: readers must not change them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.contracts import names, serving
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource

Name = tuple[str, str]
"""Namespace and name."""

WATCHED = (
    resources.KNATIVE_SERVICES,
    resources.CONFIGURATIONS,
    resources.REVISIONS,
    resources.ROUTES,
    resources.DOMAIN_MAPPINGS,
    resources.CLUSTER_DOMAIN_CLAIMS,
    resources.CERTIFICATES,
    resources.POD_AUTOSCALERS,
    resources.DEPLOYMENTS,
    resources.SERVICES,
    resources.PODS,
    resources.CONFIG_MAPS,
    resources.NAMESPACES,
    resources.INFERENCE_SERVICES,
    resources.INFERENCE_GRAPHS,
    resources.SERVING_RUNTIMES,
    resources.CLUSTER_SERVING_RUNTIMES,
)
BY_KIND = {(resource.api_version, resource.kind): resource for resource in WATCHED}

INTERNED_LENGTH = 100

BY_CONFIGURATION, BY_REVISION, BY_ROUTE, BY_TARGET = "configuration", "revision", "route", "target"
BY_PLACEHOLDER, BY_REFERENCE, BY_OWNER = "placeholder", "reference", "owner"
_INDEXED: dict[Resource, tuple[str, ...]] = {
    resources.REVISIONS: (BY_CONFIGURATION, BY_ROUTE),
    resources.CONFIGURATIONS: (BY_ROUTE,),
    resources.ROUTES: (BY_TARGET,),
    resources.PODS: (BY_REVISION,),
    resources.SERVICES: (BY_PLACEHOLDER,),
    resources.DOMAIN_MAPPINGS: (BY_REFERENCE,),
    resources.CERTIFICATES: (BY_OWNER,),
}
_LABELS = {
    BY_CONFIGURATION: names.CONFIGURATION_LABEL,
    BY_REVISION: names.REVISION_LABEL,
    BY_PLACEHOLDER: names.ROUTE_LABEL,
}


class Objects:
    """All watched objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._by_name: dict[Resource, dict[Name, Object]] = {resource: {} for resource in WATCHED}
        self._indexes: dict[tuple[Resource, str], dict[Name, dict[str, Object]]] = {
            (resource, index): {} for resource, indexes in _INDEXED.items() for index in indexes
        }

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return one object or None."""
        return self._by_name[resource].get((namespace, name))

    def all(self, resource: Resource) -> Iterable[Object]:
        """Return all objects of a kind."""
        return list(self._by_name[resource].values())

    def find(self, resource: Resource, index: str, namespace: str, key: str) -> list[Object]:
        """Return the objects of a namespace under a key of an index."""
        return list(self._indexes[resource, index].get((namespace, key), {}).values())

    def put(self, resource: Resource, obj: Object) -> bool:
        """Take in an object; returns whether it is news."""
        metadata = obj["metadata"]
        identity = (metadata.get("namespace", ""), metadata["name"])
        old = self._by_name[resource].get(identity)
        if old is not None and not _is_newer(old, obj):
            return False
        kept: Object = interned(slim(resource, obj))
        self._by_name[resource][identity] = kept
        self._reindex(resource, identity, old, kept)
        return True

    def remove(self, resource: Resource, namespace: str, name: str) -> bool:
        """Forget an object; returns whether it was known."""
        old = self._by_name[resource].pop((namespace, name), None)
        if old is not None:
            self._reindex(resource, (namespace, name), old, None)
        return old is not None

    def names(self, resource: Resource) -> set[Name]:
        """Return the namespaces and names of all objects of a kind."""
        return set(self._by_name[resource])

    def _reindex(self, resource: Resource, identity: Name, old: Object | None, new: Object | None) -> None:
        for index in _INDEXED.get(resource, ()):
            table = self._indexes[resource, index]
            for key in index_keys(index, old):
                bucket = table.get((identity[0], key), {})
                bucket.pop(identity[1], None)
                if not bucket:
                    table.pop((identity[0], key), None)
            for key in index_keys(index, new):
                table.setdefault((identity[0], key), {})[identity[1]] = new  # type: ignore[assignment]


def index_keys(index: str, obj: Object | None) -> set[str]:
    """Return the keys of an object in an index."""
    if obj is None:
        return set()
    if index == BY_ROUTE:
        return serving.routes_of(obj)
    if index == BY_TARGET:
        return _targets(obj)
    if index == BY_REFERENCE:
        name = ((obj.get("spec") or {}).get("ref") or {}).get("name")
        return {str(name)} if name else set()
    if index == BY_OWNER:
        owner = serving.controller_of(obj)
        return {owner_key(owner["kind"], owner["name"])} if owner else set()
    value = (obj["metadata"].get("labels") or {}).get(_LABELS[index])
    return {value} if value else set()


def owner_key(kind: str, name: str) -> str:
    """Return the key of an owner in the index BY_OWNER."""
    return f"{kind}/{name}"


def slim(resource: Resource, obj: Object) -> Object:
    """Return what is worth keeping of an object.

    Never managed fields; of pods only who they are and how; of other people's Services only whose they are.
    """
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    kept: dict[str, Any] = {"apiVersion": resource.api_version, "kind": resource.kind}
    if resource is resources.PODS:
        metadata.pop("annotations", None)
        status = obj.get("status") or {}
        wanted = ("phase", "conditions", "containerStatuses", "initContainerStatuses")
        return kept | {"metadata": metadata, "status": {key: status[key] for key in wanted if key in status}}
    if resource is resources.NAMESPACES:
        return kept | {"metadata": metadata}
    if resource is resources.SERVICES and not _is_ours(metadata):
        metadata.pop("annotations", None)
        return kept | {"metadata": metadata}
    return obj | kept | {"metadata": metadata}


def interned(value: Any) -> Any:
    """Return a copy in which equal short strings are one string: a service's objects then take half the memory."""
    if isinstance(value, dict):
        return {sys.intern(key): interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interned(item) for item in value]
    return sys.intern(value) if isinstance(value, str) and len(value) < INTERNED_LENGTH else value


def _is_ours(metadata: Mapping[str, Any]) -> bool:
    labels = metadata.get("labels") or {}
    return names.REVISION_LABEL in labels or names.ROUTE_LABEL in labels


def _targets(route: Object) -> set[str]:
    entries = [entry for section in ("spec", "status") for entry in ((route.get(section) or {}).get("traffic") or [])]
    return {entry.get("configurationName") or entry.get("revisionName") or "" for entry in entries}


def _is_newer(old: Object, new: Object) -> bool:
    if old["metadata"].get("uid") != new["metadata"].get("uid"):
        return True
    before, after = old["metadata"].get("resourceVersion", ""), new["metadata"].get("resourceVersion", "")
    if before.isdigit() and after.isdigit():
        return int(after) > int(before)
    return bool(before != after)
