"""Service -> EndpointSlices: the addresses of the pods it selects, ready or not.

Pure. Pods that are not ready are listed too, with `conditions.ready: false`: who holds requests may try them. Slices
copy the Service's labels, so consumers select by them. Pods whose named ports resolve differently go to slices of
their own.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cluster.controllers import conditions
from cluster.controllers.actions import Action, Create, Delete, Patch, Plan, is_deleting, owner_reference
from tidegate.kube import resources
from tidegate.kube.api import Object, labels_of, name_of, namespace_of

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
SLICE_LIMIT = 1000
"""Most endpoints in one slice (the API's own limit)."""

Ports = tuple[tuple[str, int, str, str], ...]


def plan(service: Object, pods: list[Object], slices: list[Object]) -> Plan:
    """Return what makes `slices` (those this controller manages for the Service) list the selected `pods`."""
    if is_deleting(service) or not selects(service):
        return Plan([_delete(one) for one in slices])
    wanted = {name_of(one): one for one in _wanted(service, pods)}
    present = {name_of(one): one for one in slices}
    actions: list[Action] = []
    for name, one in wanted.items():
        if name not in present:
            actions.append(Create(resources.ENDPOINT_SLICES, one))
        elif patch := _difference(present[name], one):
            actions.append(Patch(resources.ENDPOINT_SLICES, namespace_of(service), name, patch))
    return Plan(actions + [_delete(one) for name, one in present.items() if name not in wanted])


def selects(service: Object) -> bool:
    """Whether the Service's endpoints come from its selector."""
    spec = service.get("spec") or {}
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_selected(service: Object, pod: Object) -> bool:
    """Whether the Service's selector matches the pod's labels."""
    selector = (service.get("spec") or {}).get("selector") or {}
    return bool(selector) and selector.items() <= labels_of(pod).items()


def is_managed(endpoint_slice: Object) -> bool:
    """Whether this controller made the slice."""
    return labels_of(endpoint_slice).get(MANAGED_BY) == MANAGER


def _wanted(service: Object, pods: list[Object]) -> list[Object]:
    groups: dict[Ports, list[Object]] = {}
    for pod in sorted(pods, key=name_of):
        if _has_address(pod):
            groups.setdefault(_resolved(service, pod), []).append(_endpoint(service, pod))
    if not groups:
        groups[_resolved(service, None)] = []
    chunks = [
        (ports, endpoints[start : start + SLICE_LIMIT])
        for ports, endpoints in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        for start in range(0, max(1, len(endpoints)), SLICE_LIMIT)
    ]
    return [_slice(service, index, ports, endpoints) for index, (ports, endpoints) in enumerate(chunks)]


def _has_address(pod: Object) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def _resolved(service: Object, pod: Object | None) -> Ports:
    found = []
    for port in service["spec"].get("ports") or []:
        target = port.get("targetPort") or port["port"]
        protocol = port.get("protocol") or "TCP"
        number = target if isinstance(target, int) else _named_port(pod, target, protocol)
        if number:
            found.append((port.get("name") or "", number, protocol, port.get("appProtocol") or ""))
    return tuple(found)


def _named_port(pod: Object | None, name: str, protocol: str) -> int:
    if name.isdigit():
        return int(name)
    for container in (pod or {"spec": {}})["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
                return int(port["containerPort"])
    return 0


def _endpoint(service: Object, pod: Object) -> Object:
    terminating = is_deleting(pod)
    serving = conditions.is_true(pod, "Ready")
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: Object = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": pod["metadata"]["uid"],
        },
    }
    if node := pod["spec"].get("nodeName"):
        endpoint["nodeName"] = node
    if (hostname := pod["spec"].get("hostname")) and pod["spec"].get("subdomain") == name_of(service):
        endpoint["hostname"] = hostname
    return endpoint


def _slice(service: Object, index: int, ports: Ports, endpoints: list[Object]) -> Object:
    # The name is a function of the Service's uid: a second create of the same slice meets AlreadyExists, not a twin.
    digest = hashlib.sha256(f"{service['metadata']['uid']}/{index}".encode()).hexdigest()
    labels = {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(service)}-{digest[:5]}",
            "namespace": namespace_of(service),
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "ports": [_port(*port) for port in ports],
        "endpoints": endpoints,
    }


def _port(name: str, number: int, protocol: str, app_protocol: str) -> Object:
    port: Object = {"name": name, "port": number, "protocol": protocol}
    return {**port, "appProtocol": app_protocol} if app_protocol else port


def _difference(present: Object, wanted: Object) -> Object:
    patch: dict[str, Any] = {
        key: wanted[key] for key in ("ports", "endpoints") if (present.get(key) or []) != wanted[key]
    }
    old, new = labels_of(present), labels_of(wanted)
    if old != new:
        patch["metadata"] = {"labels": {**{key: None for key in old if key not in new}, **new}}
    return patch


def _delete(endpoint_slice: Object) -> Action:
    uid = str(endpoint_slice["metadata"]["uid"])
    return Delete(resources.ENDPOINT_SLICES, namespace_of(endpoint_slice), name_of(endpoint_slice), uid)
