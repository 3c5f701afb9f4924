"""The names of a route inside the cluster: one Service without pods for the route and for each of its tags.

An ExternalName leads to the gateway's port for the cluster, so that `http://<name>.<namespace>.svc.cluster.local` works
with the cluster's own DNS, and so that nobody else takes the name. Users may label one `cluster-local`, which takes its
tag off the public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.reconcile import metadata
from controller.reconcile.outcome import Action, Apply, Create, Delete, Object
from tidegate.contracts import names
from tidegate.contracts.config import network

GATEWAY = f"{names.GATEWAY_LOCAL_SERVICE}.{names.SYSTEM_NAMESPACE}.{names.CLUSTER_DOMAIN}"


def wanted(route: Object) -> dict[str, Object]:
    """Return the placeholder Services of a route by name."""
    tags = {str(target.get("tag") or "") for target in (route.get("spec") or {}).get("traffic") or []}
    found = [placeholder(route, network.local_name(route, tag)) for tag in sorted(tags | {""})]
    return {service["metadata"]["name"]: service for service in found}


def placeholder(route: Object, name: str) -> Object:
    """Return one placeholder Service."""
    labels = metadata.own_labels(route) | {names.ROUTE_LABEL: route["metadata"]["name"]}
    labels.pop(names.VISIBILITY_LABEL, None)
    head = metadata.child(route, "v1", "Service", name, labels=labels, annotations={})
    port = {"name": "http2", "appProtocol": "kubernetes.io/h2c", "port": 80, "protocol": "TCP", "targetPort": 80}
    spec = {"type": "ExternalName", "externalName": GATEWAY, "sessionAffinity": "None", "ports": [port]}
    return metadata.stamped(head | {"spec": spec})


def plan(desired: Mapping[str, Object], existing: Mapping[str, Object], made: Iterable[Object]) -> list[Action]:
    """Return what is missing, different or left over; `existing` by name, `made` are all that the route has made."""
    actions: list[Action] = []
    for name, service in desired.items():
        found = existing.get(name)
        if found is None:
            actions.append(Create(service))  # never over somebody else's
        elif metadata.needs_apply(found, service):
            actions.append(Apply(service))
    return actions + [Delete(service) for service in made if service["metadata"]["name"] not in desired]


def foreign(route: Object, desired: Iterable[str], existing: Mapping[str, Object]) -> str:
    """Return the name of a wanted Service that somebody else has, empty when there is none."""
    return next((name for name in desired if metadata.is_foreign(existing.get(name), route)), "")
