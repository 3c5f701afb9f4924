"""`python -m cluster.node.join --name N`: makes a process node's credentials in a cluster and writes its kubeconfig.

Run by somebody who may grant rights there; run again it renews the token and brings the rights up to date. The file is
for its owner alone. What the rights are is `join_plan`'s matter.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cluster.api import names
from cluster.node import join_plan
from tidegate.kube import connect, resources
from tidegate.kube.api import Api, ApiError, Object, Resource, namespace_of
from tidegate.kube.client import Client
from tidegate.process import logs, settings
from tidegate.process.settings import setting

log = logging.getLogger("cluster.node.join")

DAY_S = 86400
_RESOURCES = {
    one.kind: one
    for one in (
        resources.SERVICE_ACCOUNTS,
        resources.ROLES,
        resources.ROLE_BINDINGS,
        resources.CLUSTER_ROLES,
        resources.CLUSTER_ROLE_BINDINGS,
    )
}


@dataclass(frozen=True)
class Config:
    """Credentials of a process node in some cluster."""

    name: str = setting("name of the node")
    output: str = setting("file for the node's kubeconfig")
    kubeconfig: str = setting("kubeconfig of who may grant rights; empty looks in the usual places", default="")
    namespaces: str = setting("where it may run pods, separated by commas; empty: everywhere", default="")
    token_days: int = setting("how long the token is wanted, in days; the cluster may give less", default=365)

    def __post_init__(self) -> None:
        if problem := names.dns_subdomain(join_plan.account_of(self.name)):
            raise ValueError(f"name: {self.name}: {problem}")
        if self.token_days < 1:
            raise ValueError("token_days: must be at least 1")


async def make(api: Api, config: Config) -> tuple[str, str]:
    """Apply the rights and take back those of an earlier run that are not wanted any more; return the node's token and
    when it ends. Raises `ApiError`."""
    namespaces = [one.strip() for one in config.namespaces.split(",") if one.strip()]
    for obj in join_plan.objects(config.name, namespaces):
        await _apply(api, obj)
    await _take_back(api, config.name, namespaces)
    request = join_plan.token_request(config.name, config.token_days * DAY_S)
    answer = await api.create(resources.SERVICE_ACCOUNTS, request, join_plan.NAMESPACE, "token")
    return str(answer["status"]["token"]), str(answer["status"].get("expirationTimestamp", ""))


async def _apply(api: Api, obj: Object) -> None:
    resource, metadata = _RESOURCES[obj["kind"]], obj["metadata"]
    try:
        await api.create(resource, obj, metadata.get("namespace", ""))
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        if "rules" in obj:
            await api.patch(resource, metadata["name"], {"rules": obj["rules"]}, metadata.get("namespace", ""))


async def _take_back(api: Api, node: str, namespaces: list[str]) -> None:
    if namespaces:
        for resource in (resources.CLUSTER_ROLE_BINDINGS, resources.CLUSTER_ROLES):
            await _delete(api, resource, join_plan.everywhere_of(node))
    account = join_plan.account_of(node)
    for resource in (resources.ROLE_BINDINGS, resources.ROLES):
        for found in (await api.list(resource, fields=f"metadata.name={account}")).items:
            if namespace_of(found) not in (join_plan.LEASES_NAMESPACE, *namespaces):
                await _delete(api, resource, account, namespace_of(found))


async def _delete(api: Api, resource: Resource, name: str, namespace: str = "") -> None:
    try:
        await api.delete(resource, name, namespace)
    except ApiError as error:
        if not error.is_not_found:
            raise


def write(path: Path, document: Object) -> None:
    """Write a kubeconfig (JSON is YAML) that only its owner may read, whole or not at all."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        json.dump(document, file, indent=2)
    aside.replace(path)


async def _run(config: Config) -> None:
    connection = connect.load(config.kubeconfig or None)
    async with Client(connection, user_agent="tidegate-join") as client:
        token, end = await make(client, config)
    write(Path(config.output), join_plan.kubeconfig(config.name, connection.server, connection.ca_pem, token))
    print(f"{config.output}: node {config.name} may join {connection.server} until {end}")


def main() -> int:
    """Run the command; returns 1 when the cluster refuses."""
    config = settings.load(Config, program="python -m cluster.node.join")
    logs.configure("join", "warning")
    try:
        asyncio.run(_run(config))
    except (connect.ConnectError, ApiError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
