"""Whom a change concerns: the keys to reconcile when an object came, changed or went. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from controller import objects
from controller.objects import Objects
from tidegate.contracts import names, serving
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource


class Key(NamedTuple):
    """One object to reconcile: its kind is one of those below."""

    kind: str
    namespace: str
    name: str


SERVICE, CONFIGURATION, REVISION, ROUTE = "Service", "Configuration", "Revision", "Route"
INFERENCE_SERVICE, DOMAIN_MAPPING, CERTIFICATE = "InferenceService", "DomainMapping", "Certificate"
NAMESPACE = "Namespace"
INFERENCE_GRAPH = "InferenceGraph"
_ITSELF = {
    resources.KNATIVE_SERVICES: SERVICE,
    resources.CONFIGURATIONS: CONFIGURATION,
    resources.REVISIONS: REVISION,
    resources.ROUTES: ROUTE,
    resources.INFERENCE_SERVICES: INFERENCE_SERVICE,
    resources.INFERENCE_GRAPHS: INFERENCE_GRAPH,
    resources.DOMAIN_MAPPINGS: DOMAIN_MAPPING,
    resources.CERTIFICATES: CERTIFICATE,
    resources.NAMESPACES: NAMESPACE,
}
_ADDRESSED = frozenset({resources.KNATIVE_SERVICES, resources.ROUTES, resources.SERVICES})
_OWNERS = {
    resources.CONFIGURATIONS: (SERVICE,),
    resources.ROUTES: (SERVICE, INFERENCE_SERVICE),
    resources.KNATIVE_SERVICES: (INFERENCE_SERVICE, INFERENCE_GRAPH),
    resources.REVISIONS: (CONFIGURATION,),
    resources.DEPLOYMENTS: (REVISION,),
    resources.POD_AUTOSCALERS: (REVISION,),
    resources.SERVICES: (REVISION, ROUTE),
    resources.CERTIFICATES: (ROUTE, DOMAIN_MAPPING),
}
"""The kinds of owners that a change of an object concerns."""
RESOURCE_OF = {kind: resource for resource, kind in _ITSELF.items()}


def concerned(known: Objects, resource: Resource, obj: Object) -> set[Key]:
    """Return the keys that a change of `obj` concerns."""
    return set(_concerned(known, resource, obj))


def everything(known: Objects) -> set[Key]:
    """Return the keys of all objects, of routes gone but still marked on what they routed to, and of claims."""
    keys = {Key(kind, *name) for resource, kind in _ITSELF.items() for name in known.names(resource)}
    for resource in (resources.REVISIONS, resources.CONFIGURATIONS):
        for obj in known.all(resource):
            keys |= {Key(ROUTE, obj["metadata"]["namespace"], route) for route in serving.routes_of(obj)}
    keys |= {key for claim in known.all(resources.CLUSTER_DOMAIN_CLAIMS) for key in _claimed(known, claim)}
    return keys


def _concerned(known: Objects, resource: Resource, obj: Object) -> Iterator[Key]:
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    if resource in _ITSELF:
        yield Key(_ITSELF[resource], namespace, name)
    for kind in _OWNERS.get(resource, ()):
        yield from _owner(obj, kind)
    if resource in _LOOKS:
        yield from _LOOKS[resource](known, obj)
    for address in _addresses(known, resource, namespace, name):
        for mapping in known.find(resources.DOMAIN_MAPPINGS, objects.BY_REFERENCE, namespace, address):
            yield Key(DOMAIN_MAPPING, namespace, mapping["metadata"]["name"])


def _addresses(known: Objects, resource: Resource, namespace: str, name: str) -> set[str]:
    """Return the names under which DomainMappings refer to an object: its own, and those of a route's tags."""
    if resource is resources.ROUTES:
        tags = known.find(resources.SERVICES, objects.BY_PLACEHOLDER, namespace, name)
        return {name, *(placeholder["metadata"]["name"] for placeholder in tags)}
    return {name} if resource in _ADDRESSED else set()


def _runtime(known: Objects, runtime: Object) -> Iterator[Key]:
    for found in sorted(known.names(resources.INFERENCE_SERVICES)):
        if runtime["metadata"].get("namespace", "") in ("", found[0]):
            yield Key(INFERENCE_SERVICE, *found)


def _graphs(known: Objects, service: Object) -> Iterator[Key]:
    # They name InferenceServices, in whose place they put URLs.
    for namespace, name in sorted(known.names(resources.INFERENCE_GRAPHS)):
        if namespace == service["metadata"].get("namespace", ""):
            yield Key(INFERENCE_GRAPH, namespace, name)


def _routed(known: Objects, obj: Object) -> Iterator[Key]:
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    for route in known.find(resources.ROUTES, objects.BY_TARGET, namespace, name):
        yield Key(ROUTE, namespace, route["metadata"]["name"])


def _revision(known: Objects, revision: Object) -> Iterator[Key]:
    namespace, name = revision["metadata"].get("namespace", ""), revision["metadata"]["name"]
    yield from _routed(known, revision)
    yield from _named_by(known, namespace, name)
    for marker in serving.routes_of(revision):
        yield Key(ROUTE, namespace, marker)


def _pod(_known: Objects, pod: Object) -> Iterator[Key]:
    revision = (pod["metadata"].get("labels") or {}).get(names.REVISION_LABEL)
    if revision:
        yield Key(REVISION, pod["metadata"].get("namespace", ""), revision)


def _named_route(known: Objects, service: Object) -> Iterator[Key]:
    # Also when it is somebody else's: it stands where the route's own should be.
    namespace, name = service["metadata"].get("namespace", ""), service["metadata"]["name"]
    for candidate in {name, *(_suffixes(name))}:
        if known.get(resources.ROUTES, namespace, candidate) is not None:
            yield Key(ROUTE, namespace, candidate)


def _claimed(known: Objects, claim: Object) -> Iterator[Key]:
    name, holder = claim["metadata"]["name"], (claim.get("spec") or {}).get("namespace", "")
    yield Key(DOMAIN_MAPPING, holder, name)
    for namespace, found in known.names(resources.DOMAIN_MAPPINGS):
        if found == name and namespace != holder:
            yield Key(DOMAIN_MAPPING, namespace, name)


def _wildcard(known: Objects, certificate: Object) -> Iterator[Key]:
    # One of all routes of a namespace.
    namespace = certificate["metadata"]["namespace"]
    if names.WILDCARD_LABEL in (certificate["metadata"].get("labels") or {}):
        yield Key(NAMESPACE, "", namespace)
        yield from (Key(ROUTE, *found) for found in sorted(known.names(resources.ROUTES)) if found[0] == namespace)


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


def _suffixes(service: str) -> Iterator[str]:
    # `tag-route`: a route of that name may have the tag.
    parts = service.split("-")
    for count in range(1, len(parts)):
        yield "-".join(parts[count:])


def _prefixes(revision: str) -> Iterator[str]:
    parts = revision.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield "-".join(parts[:count])


_LOOKS: dict[Resource, Callable[[Objects, Object], Iterator[Key]]] = {
    resources.INFERENCE_SERVICES: _graphs,
    resources.SERVING_RUNTIMES: _runtime,
    resources.CLUSTER_SERVING_RUNTIMES: _runtime,
    resources.CONFIGURATIONS: _routed,
    resources.REVISIONS: _revision,
    resources.SERVICES: _named_route,
    resources.CLUSTER_DOMAIN_CLAIMS: _claimed,
    resources.PODS: _pod,
    resources.CERTIFICATES: _wildcard,
}
"""Whom a change concerns beyond the object itself and its owners."""
