"""Service -> Endpoints: the older form of its slices, for clients that still read it. Nothing of ours does.

Pure. Written a moment later than the slices and in one piece, so that a cold start does not pay for it.
"""

from __future__ import annotations

from typing import Any

from cluster.controllers import endpoints
from cluster.controllers.actions import Action, Create, Delete, Patch, Plan, is_deleting
from tidegate.kube.api import Object, Resource, labels_of, name_of, namespace_of

ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
ADDRESS_LIMIT = 1000
"""Most addresses in one Endpoints object, as in Kubernetes; more are in the slices only."""


def plan(service: Object | None, slices: list[Object], present: Object | None) -> Plan:
    """Return what makes `present` (None: there is none) say what the Service's `slices` say."""
    if service is None or is_deleting(service):
        return Plan([_delete(present)] if present else [])
    if not endpoints.selects(service):
        return Plan()  # of services without a selector the Endpoints are their owner's
    subsets = [subset for one in sorted(slices, key=name_of) if (subset := _subset(one))]
    metadata = {"name": name_of(service), "namespace": namespace_of(service), "labels": labels_of(service)}
    if present is None:
        made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
        return Plan([Create(ENDPOINTS, made)])
    if (present.get("subsets") or []) == subsets:
        return Plan()
    return Plan([Patch(ENDPOINTS, namespace_of(service), name_of(service), {"subsets": subsets})])


def _subset(one: Object) -> Object:
    ready: list[Object] = []
    others: list[Object] = []
    for endpoint in (one.get("endpoints") or [])[:ADDRESS_LIMIT]:
        conditions: Object = endpoint.get("conditions") or {}
        if conditions.get("terminating"):
            continue
        (ready if conditions.get("ready") else others).append(_address(endpoint))
    if not ready and not others:
        return {}
    subset: Object = {"ports": one.get("ports") or []}
    if ready:
        subset["addresses"] = ready
    if others:
        subset["notReadyAddresses"] = others
    return subset


def _address(endpoint: Object) -> Object:
    address: dict[str, Any] = {"ip": endpoint["addresses"][0]}
    for field in ("nodeName", "targetRef", "hostname"):
        if field in endpoint:
            address[field] = endpoint[field]
    return address


def _delete(present: Object) -> Action:
    return Delete(ENDPOINTS, namespace_of(present), name_of(present), str(present["metadata"]["uid"]))
