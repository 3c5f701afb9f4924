"""Whom a change concerns: the keys to reconcile when an object came, changed or went. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from controller import objects
from controller.objects import Objects
from tidegate.contracts import names, serving
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource


class Key(NamedTuple):
    """One object to reconcile: an InferenceService, Service, Configuration, Revision or Route."""

    kind: str
    namespace: str
    name: str


SERVICE, CONFIGURATION, REVISION, ROUTE = "Service", "Configuration", "Revision", "Route"
INFERENCE_SERVICE = "InferenceService"
_ITSELF = {
    resources.KNATIVE_SERVICES: SERVICE,
    resources.CONFIGURATIONS: CONFIGURATION,
    resources.REVISIONS: REVISION,
    resources.ROUTES: ROUTE,
    resources.INFERENCE_SERVICES: INFERENCE_SERVICE,
}
_OF_A_REVISION = frozenset({resources.DEPLOYMENTS, resources.POD_AUTOSCALERS, resources.SERVICES})
RESOURCE_OF = {kind: resource for resource, kind in _ITSELF.items()}


def concerned(known: Objects, resource: Resource, obj: Object) -> set[Key]:
    """Return the keys that a change of `obj` concerns."""
    return set(_concerned(known, resource, obj))


def everything(known: Objects) -> set[Key]:
    """Return the keys of all objects, and of routes that are gone but still marked on what they routed to."""
    keys = {Key(kind, *name) for resource, kind in _ITSELF.items() for name in known.names(resource)}
    for resource in (resources.REVISIONS, resources.CONFIGURATIONS):
        for obj in known.all(resource):
            keys |= {Key(ROUTE, obj["metadata"]["namespace"], route) for route in serving.routes_of(obj)}
    return keys


def _concerned(known: Objects, resource: Resource, obj: Object) -> Iterator[Key]:
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    if resource in _ITSELF:
        yield Key(_ITSELF[resource], namespace, name)
    if resource in (resources.CONFIGURATIONS, resources.ROUTES):
        yield from _owner(obj, SERVICE)
    if resource in (resources.KNATIVE_SERVICES, resources.ROUTES):
        yield from _owner(obj, INFERENCE_SERVICE)
    if resource in (resources.SERVING_RUNTIMES, resources.CLUSTER_SERVING_RUNTIMES):
        for found in sorted(known.names(resources.INFERENCE_SERVICES)):
            if namespace in ("", found[0]):
                yield Key(INFERENCE_SERVICE, *found)
    if resource in (resources.CONFIGURATIONS, resources.REVISIONS):
        for route in known.find(resources.ROUTES, objects.BY_TARGET, namespace, name):
            yield Key(ROUTE, namespace, route["metadata"]["name"])
    if resource is resources.REVISIONS:
        yield from _owner(obj, CONFIGURATION)
        yield from _named_by(known, namespace, name)
        for marker in serving.routes_of(obj):
            yield Key(ROUTE, namespace, marker)
    if resource in _OF_A_REVISION:
        yield from _owner(obj, REVISION)
    if resource is resources.PODS:
        revision = (obj["metadata"].get("labels") or {}).get(names.REVISION_LABEL)
        if revision:
            yield Key(REVISION, namespace, revision)


def _owner(obj: Object, kind: str) -> Iterator[Key]:
    owner = serving.controller_of(obj)
    if owner is not None and owner.get("kind") == kind:
        yield Key(kind, obj["metadata"].get("namespace", ""), str(owner["name"]))


def _named_by(known: Objects, namespace: str, revision: str) -> Iterator[Key]:
    # A name of the user's choosing: whoever asks for it must look again when it comes or goes.
    configuration = next(
        (
            found["metadata"]["name"]
            for prefix in _prefixes(revision)
            if (found := known.get(resources.CONFIGURATIONS, namespace, prefix)) is not None
        ),
        None,
    )
    if configuration is not None:
        yield Key(CONFIGURATION, namespace, configuration)


def _prefixes(revision: str) -> Iterator[str]:
    parts = revision.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield "-".join(parts[:count])
