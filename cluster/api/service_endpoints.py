"""From a Service's name and port to the address of one of its ready endpoints, by its EndpointSlices."""

from __future__ import annotations

from typing import Any

from cluster.store import Collection, Key, Store
from tidegate.kube.api import Object

SLICES = Collection("discovery.k8s.io", "endpointslices")
SERVICE_NAME = "kubernetes.io/service-name"


class NoEndpoint(Exception):
    """The Service does not exist, lacks that port, or has no ready endpoint."""


def resolve(store: Store, namespace: str, name: str, port: str) -> tuple[str, int]:
    """Return address and port number of a ready endpoint; `port` is a Service port's number or name, "" the first.

    Raises `NoEndpoint`.
    """
    entry = store.get(Key("", "services", namespace, name))
    if entry is None:
        raise NoEndpoint(f'service "{name}" not found')
    wanted = _service_port(entry.decode(), port)
    for found in store.entries(SLICES, namespace):
        if found.shadow["metadata"]["labels"].get(SERVICE_NAME) != name:
            continue
        slice_ = found.decode()
        number = _slice_port(slice_, wanted)
        if number and (address := _ready_address(slice_)):
            return address, number
    raise NoEndpoint(f'no endpoints available for service "{name}"')


def _service_port(service: Object, port: str) -> Object:
    ports: list[Object] = (service.get("spec") or {}).get("ports") or []
    for one in ports:
        if port in ("", one.get("name"), str(one["port"])):
            return one
    raise NoEndpoint(f'service "{service["metadata"]["name"]}" has no port {port}')


def _slice_port(slice_: Object, wanted: Object) -> int:
    for one in slice_.get("ports") or []:
        if (one.get("name") or "") == (wanted.get("name") or ""):
            return int(one.get("port") or 0)
    return 0


def _ready_address(slice_: Object) -> str:
    for endpoint in slice_.get("endpoints") or []:
        conditions: dict[str, Any] = endpoint.get("conditions") or {}
        if conditions.get("ready", True) and endpoint.get("addresses"):
            return str(endpoint["addresses"][0])
    return ""
