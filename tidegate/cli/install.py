"""Tidegate's manifests, applied to an API server: by `kubectl apply -k` where kubectl is installed, else by ourselves.

Without kubectl the rendered copy of the overlay is applied by server-side apply, object by object in the file's order
(kustomize puts namespaces and CRDs first), under the same field manager.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tidegate.cli.failures import Failure, Late
from tidegate.contracts import names
from tidegate.kube import resources as kinds
from tidegate.kube.api import ApiError, Object, PatchKind, Resource
from tidegate.kube.client import Client

MANAGER = "tidegate-up"
APPLY_TIMEOUT_S = 60.0
POLL_S = 0.05
COMPONENTS = ("controller", "autoscaler", "activator", "gateway")

KNOWN = {
    (resource.api_version, resource.kind): resource
    for resource in vars(kinds).values()
    if isinstance(resource, Resource)
}


def manifests() -> Path:
    """Return the folder of the manifests in this installation."""
    return Path(str(resources.files("manifests")))


def local_instance(listen: str, tls_listen: str = f":{names.GATEWAY_TLS_PORT}") -> list[Object]:
    """Return what only `tidegate up` knows: the system namespace and where the gateway listens (`host:port`), also for
    TLS (`:port` is the pod's own address)."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.SYSTEM_NAMESPACE}}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-instance", "namespace": names.SYSTEM_NAMESPACE},
        "data": {"gateway-listen": listen, "gateway-tls-listen": tls_listen},
    }
    return [namespace, config_map]


async def apply(client: Client, objects: list[Object]) -> None:
    """Apply objects one after another; a failure names the object."""
    for obj in objects:
        resource = KNOWN.get((obj["apiVersion"], obj["kind"]))
        if resource is None:
            raise Failure(f"manifests: {obj['apiVersion']} {obj['kind']} is not a kind that tidegate up can apply")
        metadata = obj["metadata"]
        try:
            await client.patch(
                resource,
                metadata["name"],
                obj,
                metadata.get("namespace", ""),
                kind=PatchKind.APPLY,
                manager=MANAGER,
                force=True,
            )
        except ApiError as error:
            raise Failure(f"cannot apply {obj['kind']} {metadata['name']}: {error}") from error


async def apply_overlay(client: Client, kubeconfig: Path) -> str:
    """Apply the overlay `local`; return how it was done."""
    if kubectl := shutil.which("kubectl"):
        await asyncio.to_thread(_apply_by_kubectl, kubectl, kubeconfig)
        return "by kubectl apply -k"
    text = (manifests() / "rendered" / "local.yaml").read_text()
    await apply(client, [document for document in yaml.safe_load_all(text) if document])
    return "from the rendered copy, as kubectl is not installed"


def _apply_by_kubectl(kubectl: str, kubeconfig: Path) -> None:
    command = [
        kubectl,
        f"--kubeconfig={kubeconfig}",
        f"--cache-dir={kubeconfig.parent / 'kubectl-cache'}",
        "apply",
        "--server-side",
        "--force-conflicts",
        f"--field-manager={MANAGER}",
        "-k",
        str(manifests() / "overlays" / "local"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=APPLY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Late(f"kubectl apply did not end within {APPLY_TIMEOUT_S:g} s") from error
    if done.returncode:
        raise Failure(f"kubectl apply failed:\n{done.stderr.strip()}")


async def wait_available(client: Client, timeout_s: float) -> None:
    """Return when every component is available; raises `Late` that says which is not, and why."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while waiting := await _unavailable(client):
        if loop.time() > deadline:
            reasons = await explain(client, waiting)
            raise Late(f"not available after {timeout_s:g} s: {', '.join(waiting)}\n{reasons}")
        await asyncio.sleep(POLL_S)


async def _unavailable(client: Client) -> list[str]:
    page = await client.list(kinds.DEPLOYMENTS, names.SYSTEM_NAMESPACE)
    available = {obj["metadata"]["name"] for obj in page.items if is_available(obj)}
    return [component for component in COMPONENTS if component not in available]


def is_available(deployment: Object) -> bool:
    """Whether all replicas of this generation are available."""
    wanted = deployment["spec"].get("replicas", 1)
    status: dict[str, Any] = deployment.get("status") or {}
    is_observed = int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    return (
        is_observed
        and int(status.get("availableReplicas", 0)) >= wanted
        and int(status.get("updatedReplicas", 0)) >= wanted
    )


async def explain(client: Client, components: list[str]) -> str:
    """Return one line for each pod of these components that is not ready, and where its log is."""
    lines = []
    for pod in (await client.list(kinds.PODS, names.SYSTEM_NAMESPACE)).items:
        component = (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component", "")
        if component in components:
            lines.append(f"  {pod['metadata']['name']}: {pod_reason(pod)}; see: tidegate logs {component}")
    return "\n".join(lines) or "  no pods yet: see logs/node.log and logs/api.log in the state folder"


def pod_reason(pod: Object) -> str:
    """Return the phase of a pod, or why a container of it waits or ended."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or []:
        for state in (container.get("state") or {}).values():
            if state and state.get("reason"):
                return f"{state['reason']} {state.get('message', '')}".strip()
    return str(status.get("phase", "Pending"))
