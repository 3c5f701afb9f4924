"""From a key to what should happen: collects what its reconciler may look at, and asks it.

No I/O: everything comes from the objects as last seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller import objects, triggers
from controller.cluster_config import ClusterConfig
from controller.inference import component, shipped, template
from controller.objects import Objects
from controller.reconcile import (
    certificate,
    configuration,
    domain_mapping,
    images,
    inference_graph,
    inference_service,
    internal_certificates,
    namespace_tls,
    placeholders,
    revision,
    route,
    service,
)
from controller.reconcile.outcome import Object, Outcome
from controller.tls.plan import PairFacts
from controller.triggers import Key
from tidegate.contracts import inference_graph as graph_contract
from tidegate.contracts import internal_tls, names, programmed, traffic
from tidegate.contracts.programmed import Versions
from tidegate.kube import resources


@dataclass
class World:
    """All that reconcilers are given.

    `refused` holds, by key, the generation and message of a refused child; `credentials`, by namespace and
    ServiceAccount, the variables with which pods fetch models; `lookups`, by a revision's uid, what its images are;
    `pairs`, by the key of a Certificate or DomainMapping, the key pair that it names; `obstacle` tells why the gateways
    do not have what is asked for (without gateways to ask they have everything).
    """

    known: Objects
    config: ClusterConfig
    refused: dict[Key, tuple[int, str]] = field(default_factory=dict)
    credentials: dict[tuple[str, str], list[Object]] = field(default_factory=dict)
    lookups: dict[str, images.Lookup] = field(default_factory=dict)
    pairs: dict[Key, PairFacts] = field(default_factory=dict)
    obstacle: Callable[[Versions], str] = lambda _wanted: ""


def target(world: World, key: Key) -> Object | None:
    """Return the object that a key names."""
    return world.known.get(triggers.RESOURCE_OF[key.kind], key.namespace, key.name)


def versions(world: World, key: Key) -> Versions:
    """Return what the gateways must have before what a key names is in their tables, as it is stored now."""
    obj = target(world, key)
    pair = _shown(world, key)
    if key.kind == triggers.CERTIFICATE:
        return pair
    if key.kind == triggers.DOMAIN_MAPPING:
        route = _mapped_route(world.known, key, obj)
        return Versions(programmed.version_of(route), programmed.version_of(obj), pair.certificates)
    return Versions(routes=programmed.version_of(obj))


def _shown(world: World, key: Key) -> Versions:
    """Return what the gateways must have to show the key pair of a Certificate or DomainMapping."""
    pair = world.pairs.get(key)
    return Versions(certificates=pair.copy_version if pair is not None else 0)


def _unshown(world: World, key: Key) -> str:
    """Return why a key pair is not shown by the gateways; of one that they are not to show, nothing."""
    wanted = _shown(world, key)
    return world.obstacle(wanted) if wanted.certificates else ""


def decide(world: World, key: Key, now_unix: float) -> Outcome:
    """Return what one key needs; nothing when its object is gone or going (owner collection does the rest)."""
    obj = target(world, key)
    if key.kind == triggers.ROUTE:
        return route.reconcile(_route(world, key, obj), world.config.network, now_unix)
    if key.kind == triggers.DOMAIN_MAPPING:
        return domain_mapping.reconcile(_domain_mapping(world, key, obj), world.config.network, now_unix)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return Outcome()
    if key.kind == triggers.NAMESPACE:
        return namespace_tls.reconcile(obj, _wildcards(world.known, key.name), world.config.network)
    if key.kind == triggers.CERTIFICATE:
        return certificate.reconcile(obj, world.pairs.get(key), now_unix, _unshown(world, key))
    if key.kind == triggers.INFERENCE_SERVICE:
        return inference_service.reconcile(_inference_service(world, key, obj), now_unix)
    if key.kind == triggers.INFERENCE_GRAPH:
        return inference_graph.reconcile(_inference_graph(world, key, obj), now_unix)
    if key.kind == triggers.SERVICE:
        return service.reconcile(_service(world, key, obj), now_unix)
    if key.kind == triggers.CONFIGURATION:
        return configuration.reconcile(_configuration(world, key, obj), world.config.retention, now_unix)
    return revision.reconcile(_revision(world, key, obj), world.config, now_unix)


def _inference_service(world: World, key: Key, obj: Object) -> inference_service.Observed:
    known = world.known
    services = {
        kind: found
        for kind in component.ALL_KINDS
        if (found := known.get(resources.KNATIVE_SERVICES, key.namespace, template.service_name(key.name, kind)))
    }
    status = (services.get(component.PREDICTOR) or {}).get("status") or {}
    wanted = {str(status.get(name) or "") for name in ("latestCreatedRevisionName", "latestReadyRevisionName")}
    return inference_service.Observed(
        obj,
        services,
        known.get(resources.ROUTES, key.namespace, key.name),
        {name: found for name in wanted if (found := known.get(resources.REVISIONS, key.namespace, name))},
        [one for one in known.all(resources.SERVING_RUNTIMES) if one["metadata"]["namespace"] == key.namespace],
        shipped.runtimes(list(known.all(resources.CLUSTER_SERVING_RUNTIMES)), world.config.deployment.runtime_image),
        _refusal(world, key, obj),
        world.config.deployment.runtime_image.replace("{name}", "agent"),
    )


def _inference_graph(world: World, key: Key, obj: Object) -> inference_graph.Observed:
    known = world.known
    nodes = (obj.get("spec") or {}).get("nodes") or {}
    wanted = graph_contract.service_names(nodes) if not graph_contract.validate(nodes) else set()
    return inference_graph.Observed(
        obj,
        known.get(resources.KNATIVE_SERVICES, key.namespace, key.name),
        {name: one for name in wanted if (one := known.get(resources.INFERENCE_SERVICES, key.namespace, name))},
        world.config.deployment.runtime_image.replace("{name}", "graph"),
        _refusal(world, key, obj),
    )


def _service(world: World, key: Key, obj: Object) -> service.Observed:
    known = world.known
    template = obj["spec"].get("template") or {}
    named = (template.get("metadata") or {}).get("name")
    return service.Observed(
        obj,
        known.get(resources.CONFIGURATIONS, key.namespace, key.name),
        known.get(resources.ROUTES, key.namespace, key.name),
        known.get(resources.REVISIONS, key.namespace, named) if named else None,
    )


def _configuration(world: World, key: Key, obj: Object) -> configuration.Observed:
    known = world.known
    return configuration.Observed(
        obj,
        known.find(resources.REVISIONS, objects.BY_CONFIGURATION, key.namespace, key.name),
        known.get(resources.REVISIONS, key.namespace, configuration.revision_name(obj)),
        _refusal(world, key, obj),
    )


def _revision(world: World, key: Key, obj: Object) -> revision.Observed:
    known = world.known
    return revision.Observed(
        obj,
        known.get(resources.DEPLOYMENTS, key.namespace, names.deployment_name(key.name)),
        known.get(resources.POD_AUTOSCALERS, key.namespace, key.name),
        known.get(resources.SERVICES, key.namespace, names.private_service_name(key.name)),
        known.find(resources.PODS, objects.BY_REVISION, key.namespace, key.name),
        _refusal(world, key, obj),
        world.credentials.get((key.namespace, str(obj["spec"].get("serviceAccountName") or "default")), []),
        known.get(resources.DEPLOYMENTS, key.namespace, names.standby_deployment_name(key.name)),
        known.get(resources.SERVICES, key.namespace, names.standby_service_name(key.name)),
        world.lookups.get(obj["metadata"]["uid"]),
        internal_certificates.Observed(
            known.get(resources.CERTIFICATES, key.namespace, internal_tls.POD_SECRET),
            known.get(resources.CERTIFICATES, names.SYSTEM_NAMESPACE, internal_tls.ROUTING_SECRET),
        ),
    )


def _route(world: World, key: Key, obj: Object | None) -> route.Observed:
    known = world.known
    made = known.find(resources.CERTIFICATES, objects.BY_OWNER, key.namespace, objects.owner_key(key.kind, key.name))
    marked = [
        *known.find(resources.REVISIONS, objects.BY_ROUTE, key.namespace, key.name),
        *known.find(resources.CONFIGURATIONS, objects.BY_ROUTE, key.namespace, key.name),
    ]
    wanted = placeholders.wanted(obj) if obj is not None else {}
    return route.Observed(
        key.name,
        obj,
        _lookup(known, key.namespace, obj),
        marked,
        {name: found for name in wanted if (found := known.get(resources.SERVICES, key.namespace, name))},
        known.find(resources.SERVICES, objects.BY_PLACEHOLDER, key.namespace, key.name),
        [*made, *_wildcards(known, key.namespace)],
        world.obstacle(versions(world, key)),
    )


def _wildcards(known: Objects, namespace: str) -> list[Object]:
    owner = objects.owner_key(triggers.NAMESPACE, namespace)
    found = known.find(resources.CERTIFICATES, objects.BY_OWNER, namespace, owner)
    return [one for one in found if names.WILDCARD_LABEL in (one["metadata"].get("labels") or {})]


def _domain_mapping(world: World, key: Key, obj: Object | None) -> domain_mapping.Observed:
    reference = ((obj or {}).get("spec") or {}).get("ref") or {}
    resource = objects.BY_KIND.get((str(reference.get("apiVersion")), str(reference.get("kind"))))
    name = str(reference.get("name") or "")
    route = _mapped_route(world.known, key, obj)
    return domain_mapping.Observed(
        key.namespace,
        key.name,
        obj,
        world.known.get(resources.CLUSTER_DOMAIN_CLAIMS, "", key.name),
        world.known.get(resource, key.namespace, name) if resource is not None and name else None,
        _certificates_of_mapping(world.known, key),
        world.pairs.get(key),
        world.obstacle(versions(world, key)),
        is_routed=bool(((route or {}).get("status") or {}).get("traffic")),
        unshown=_unshown(world, key),
    )


def _mapped_route(known: Objects, key: Key, mapping: Object | None) -> Object | None:
    """Return the Route that answers for what a DomainMapping refers to."""
    reference = ((mapping or {}).get("spec") or {}).get("ref") or {}
    name = str(reference.get("name") or "")
    if reference.get("apiVersion") == "v1":
        placeholder = known.get(resources.SERVICES, key.namespace, name) or {"metadata": {}}
        name = (placeholder["metadata"].get("labels") or {}).get(names.ROUTE_LABEL, "")
    return known.get(resources.ROUTES, key.namespace, name)


def _certificates_of_mapping(known: Objects, key: Key) -> list[Object]:
    made = known.find(resources.CERTIFICATES, objects.BY_OWNER, key.namespace, objects.owner_key(key.kind, key.name))
    named = known.get(resources.CERTIFICATES, key.namespace, key.name)
    return made if named is None or named in made else [*made, named]


def _lookup(known: Objects, namespace: str, obj: Object | None) -> traffic.Lookup:
    targets = objects.index_keys(objects.BY_TARGET, obj)
    configurations = {
        name: found for name in targets if (found := known.get(resources.CONFIGURATIONS, namespace, name)) is not None
    }
    wanted = set(targets)
    for found in configurations.values():
        status = found.get("status") or {}
        wanted |= {
            status.get(field_name, "") for field_name in ("latestCreatedRevisionName", "latestReadyRevisionName")
        }
    revisions = {
        name: found for name in wanted if (found := known.get(resources.REVISIONS, namespace, name)) is not None
    }
    for found in revisions.values():
        owner = (found["metadata"].get("labels") or {}).get(names.CONFIGURATION_LABEL, "")
        holder = known.get(resources.CONFIGURATIONS, namespace, owner)
        if holder is not None:
            configurations.setdefault(owner, holder)
    return traffic.Lookup(configurations, revisions)


def _refusal(world: World, key: Key, obj: Object) -> str:
    generation, message = world.refused.get(key, (-1, ""))
    return message if generation == obj["metadata"].get("generation", 0) else ""
