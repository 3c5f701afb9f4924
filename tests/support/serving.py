"""API objects that gateway and activator watch, small but in the shape that the controller and autoscaler write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.fake_api import FakeApi
from tidegate.contracts import names
from tidegate.kube import resources

Pods = Iterable[tuple[str, bool]]
"""(address, is ready)"""


def put_route(
    api: FakeApi, name: str, traffic: Iterable[dict[str, Any]], namespace: str = "default", url: str = ""
) -> None:
    """Store a ready Route; its host is `<name>.<namespace>.localhost` unless `url` says another."""
    status = {
        "url": url or f"http://{name}.{namespace}.localhost",
        "address": {"url": f"http://{name}.{namespace}.svc.cluster.local"},
        "traffic": list(traffic),
    }
    api.put(resources.ROUTES, {"metadata": {"name": name, "namespace": namespace}, "spec": {}, "status": status})


def put_redirected_route(api: FakeApi, name: str, traffic: Iterable[dict[str, Any]]) -> None:
    """Store a Route that wants clear text sent to https."""
    put_route(api, name, traffic)
    route = api.all(resources.ROUTES)[0]
    route["status"]["annotations"] = {names.HTTP_PROTOCOL_ANNOTATION: names.REDIRECTED}
    api.put(resources.ROUTES, route)


def put_revision(
    api: FakeApi, name: str, namespace: str = "default", annotations: dict[str, str] | None = None, **spec: Any
) -> None:
    """Store a Revision."""
    body = {"containers": [{"image": "app"}], "timeoutSeconds": 300, **spec}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    api.put(resources.REVISIONS, {"metadata": metadata, "spec": body})


def put_autoscaler(api: FakeApi, name: str, mode: str, concurrency: int = 0, namespace: str = "default") -> None:
    """Store a PodAutoscaler with a serving mode."""
    api.put(
        resources.POD_AUTOSCALERS,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containerConcurrency": concurrency},
            "status": {"servingMode": mode},
        },
    )


def put_pods(
    api: FakeApi, revision: str, pods: Pods, namespace: str = "default", port: int = 8012, name: str = ""
) -> None:
    """Store an EndpointSlice (`name`) of a revision's private Service."""
    labels = {names.REVISION_LABEL: revision, names.SERVICE_NAME_LABEL: names.private_service_name(revision)}
    api.put(resources.ENDPOINT_SLICES, _slice(name or f"{revision}-private-x", namespace, labels, pods, port, "http"))


def put_system(api: FakeApi, service: str, pods: Pods, port: int = 8012, port_name: str = "http") -> None:
    """Store the EndpointSlice of one of Tidegate's own Services."""
    labels = {names.SERVICE_NAME_LABEL: service}
    slice_ = _slice(f"{service}-x", names.SYSTEM_NAMESPACE, labels, pods, port, port_name)
    api.put(resources.ENDPOINT_SLICES, slice_)


def _slice(name: str, namespace: str, labels: dict[str, str], pods: Pods, port: int, port_name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in pods],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }
