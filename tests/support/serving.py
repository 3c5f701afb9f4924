"""API objects that gateway and activator watch, small but in the shape that the controller and autoscaler write."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.authority import Authority
from tests.support.fake_api import FakeApi
from tidegate.contracts import internal_tls, names
from tidegate.kube import resources

TLS_SETTING = "system-internal-tls"
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
    api: FakeApi,
    revision: str,
    pods: Pods,
    namespace: str = "default",
    port: int = 8012,
    name: str = "",
    tls_port: int = 0,
) -> None:
    """Store an EndpointSlice (`name`) of a revision's private Service; `tls_port`: where its pods speak TLS."""
    labels = {names.REVISION_LABEL: revision, names.SERVICE_NAME_LABEL: names.private_service_name(revision)}
    api.put(
        resources.ENDPOINT_SLICES,
        _slice(name or f"{revision}-private-x", namespace, labels, pods, port, "http", tls_port),
    )


def put_system(
    api: FakeApi, service: str, pods: Pods, port: int = 8012, port_name: str = "http", tls_port: int = 0
) -> None:
    """Store the EndpointSlice of one of Tidegate's own Services."""
    labels = {names.SERVICE_NAME_LABEL: service}
    slice_ = _slice(f"{service}-x", names.SYSTEM_NAMESPACE, labels, pods, port, port_name, tls_port)
    api.put(resources.ENDPOINT_SLICES, slice_)


def put_system_tls(api: FakeApi, authority: Authority, state: str = "enabled") -> None:
    """Switch system-internal-tls on: the setting, and what the controller makes then."""
    at = {"namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.CONFIG_MAPS, {"metadata": at | {"name": names.CONFIG_NETWORK}, "data": {TLS_SETTING: state}})
    labels = {internal_tls.TRUST_LABEL: "true"}
    api.put(resources.CONFIG_MAPS, {"metadata": at | {"name": "ca", "labels": labels}, "data": {"ca": authority.pem}})
    pair = authority.issue(internal_tls.ROUTING_NAME, internal_tls.LEGACY_NAME)
    data = dict(zip((internal_tls.CERTIFICATE_KEY, internal_tls.PRIVATE_KEY), pair, strict=True))
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    api.put(resources.SECRETS, {"metadata": at | {"name": internal_tls.ROUTING_SECRET}, "data": encoded})


def write_pod_certificate(folder: Path, authority: Authority, namespace: str = "default") -> None:
    """Write what a queueproxy of this namespace finds mounted."""
    certificate, key = authority.issue(internal_tls.pod_name(namespace), internal_tls.LEGACY_NAME)
    (folder / internal_tls.PRIVATE_KEY).write_text(key)
    (folder / internal_tls.CERTIFICATE_KEY).write_text(certificate)


def _slice(
    name: str, namespace: str, labels: dict[str, str], pods: Pods, port: int, port_name: str, tls_port: int
) -> dict[str, Any]:
    ports = {port_name: port} | ({internal_tls.PORT_NAME: tls_port} if tls_port else {})
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in pods],
        "ports": [{"name": called, "port": number, "protocol": "TCP"} for called, number in ports.items()],
    }
