"""`tidegate status`: processes of the instance, pods, services with address and replicas, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tidegate.cli import common, install, instance, memory, output
from tidegate.contracts import names
from tidegate.kube import resources as kinds
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.kube.client import Client


@click.command()
@common.state_option
@common.kubeconfig_option
@common.json_option
def status(state: Path | None, kubeconfig: Path | None, as_json: bool) -> None:
    """Show what runs, and what it weighs."""
    local = common.open_instance(state)
    where = common.connection(state, kubeconfig)
    document = common.call(where, gather)
    document["instance"] = describe(local) if not kubeconfig else {}
    if as_json:
        output.print_json(document)
    else:
        click.echo(render(document))


def describe(local: instance.Instance) -> dict[str, Any]:
    """Return the instance's processes and their memory."""
    root = local.supervisor()
    weights = memory.tree(root) if root else []
    return {
        "state": str(local.state),
        "processes": local.pids(),
        "process_count": len(weights),
        "pss_bytes": sum(weight.pss_bytes for weight in weights),
        "rss_bytes": sum(weight.rss_bytes for weight in weights),
    }


async def gather(client: Client) -> dict[str, Any]:
    """Read pods, Knative Services, revisions and the gateway's address."""
    pods = (await client.list(kinds.PODS)).items
    services = await _list(client, kinds.KNATIVE_SERVICES)
    autoscalers = await _list(client, kinds.POD_AUTOSCALERS)
    return {
        "server": client.connection.server,
        "gateway": await _gateway_address(client),
        "components": [_component(name, pods) for name in install.COMPONENTS],
        "services": [_service(obj, autoscalers) for obj in services],
        "pods": [_pod(pod) for pod in pods],
    }


def render(document: dict[str, Any]) -> str:
    """Return the tables."""
    local = document["instance"]
    parts = [f"API server {document['server']}, gateway {document['gateway'] or 'unknown'}"]
    if local.get("processes"):
        parts.append(
            f"{local['process_count']} processes, {output.mebibytes(local['pss_bytes'])} "
            f"(shared pages counted once; {output.mebibytes(local['rss_bytes'])} counted per process)"
        )
    parts.append(_table(document["components"], {"component": "name", "ready": "", "restarts": "", "state": ""}))
    if document["services"]:
        columns = {
            "namespace": "",
            "service": "name",
            "url": "",
            "ready": "",
            "replicas": "",
            "latest revision": "revision",
        }
        parts.append(_table(document["services"], columns))
    columns = {"namespace": "", "pod": "name", "ready": "", "state": "", "address": ""}
    parts.append(_table(document["pods"], columns))
    return "\n\n".join(parts)


def _table(entries: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Return a table with these columns; a value names the entry's field where it is not the title."""
    rows = [[entry[field or title] for title, field in columns.items()] for entry in entries]
    return output.table([title.upper() for title in columns], rows)


async def _list(client: Client, resource: Resource) -> list[Object]:
    try:
        return (await client.list(resource)).items
    except ApiError as error:
        if error.is_not_found:  # the CRDs are not applied yet
            return []
        raise


async def _gateway_address(client: Client) -> str:
    try:
        found = await client.get(kinds.CONFIG_MAPS, "local-instance", names.SYSTEM_NAMESPACE)
    except ApiError:
        return ""
    return "http://" + str((found.get("data") or {}).get("gateway-listen", ""))


def _component(name: str, pods: list[Object]) -> dict[str, Any]:
    mine = [pod for pod in pods if _is_of(pod, name)]
    described = [_pod(pod) for pod in mine]
    return {
        "name": name,
        "ready": f"{sum(entry['ready'] == '1/1' for entry in described)}/{len(described)}",
        "restarts": sum(entry["restarts"] for entry in described),
        "state": ", ".join(sorted({entry["state"] for entry in described})) or "no pods",
    }


def _is_of(pod: Object, component: str) -> bool:
    labels = pod["metadata"].get("labels") or {}
    is_system = pod["metadata"].get("namespace") == names.SYSTEM_NAMESPACE
    return is_system and labels.get("app.kubernetes.io/component") == component


def _pod(pod: Object) -> dict[str, Any]:
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    ready = sum(bool(container.get("ready")) for container in containers)
    return {
        "namespace": pod["metadata"].get("namespace", ""),
        "name": pod["metadata"]["name"],
        "ready": f"{ready}/{len(pod['spec']['containers'])}",
        "state": "Terminating" if pod["metadata"].get("deletionTimestamp") else install.pod_reason(pod),
        "restarts": sum(int(container.get("restartCount", 0)) for container in containers),
        "address": (pod.get("status") or {}).get("podIP", ""),
    }


def _service(obj: Object, autoscalers: list[Object]) -> dict[str, Any]:
    metadata, state = obj["metadata"], obj.get("status") or {}
    conditions = {condition["type"]: condition for condition in state.get("conditions") or []}
    ready = conditions.get("Ready", {})
    mine = [
        scaler
        for scaler in autoscalers
        if scaler["metadata"].get("namespace") == metadata.get("namespace")
        and (scaler["metadata"].get("labels") or {}).get(names.SERVICE_LABEL) == metadata["name"]
    ]
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "url": state.get("url", ""),
        "ready": ready.get("status", "Unknown") + (f" ({ready['reason']})" if ready.get("reason") else ""),
        "replicas": str(sum(max(0, int((scaler.get("status") or {}).get("actualScale") or 0)) for scaler in mine)),
        "revision": state.get("latestReadyRevisionName", ""),
    }
