"""`tidegate logs NAME`: what a process of the instance, a component, a service or a revision printed.

NAME is supervisor, api or node (files of the state folder), a component (its pods in the system namespace), or a
service or revision (its pods; the user container unless -c says otherwise).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import click

from tidegate.cli import common, install, instance
from tidegate.cli.failures import Failure, NotRunning
from tidegate.contracts import names
from tidegate.kube import connect
from tidegate.kube import resources as kinds
from tidegate.kube.api import Object
from tidegate.kube.client import Client

PROCESSES = ("supervisor", "api", "node")
FILE_POLL_S = 0.2
CONNECT_TIMEOUT_S = 5.0
LINE_LIMIT_BYTES = 1 << 20


@click.command()
@click.argument("name")
@common.namespace_option
@click.option("-f", "--follow", is_flag=True, help="Keep printing what comes.")
@click.option("-c", "--container", default="", help=f"Container. [default: {names.USER_CONTAINER}, or the only one]")
@click.option("--tail", default=-1, type=click.IntRange(-1), help="Last so many lines. [default: all]")
@common.state_option
@common.kubeconfig_option
def logs(
    name: str, namespace: str, follow: bool, container: str, tail: int, state: Path | None, kubeconfig: Path | None
) -> None:
    """Print the log of NAME: a component, a process of the instance, a service or a revision."""
    local = common.open_instance(state)
    if name in PROCESSES and not kubeconfig:
        print_file(local, name, follow=follow, tail=tail)
        return
    where = common.connection(state, kubeconfig)
    pods = common.call(where, lambda client: find_pods(client, namespace, name))
    asyncio.run(print_pods(where, pods, container=container, follow=follow, tail=tail))


def print_file(local: instance.Instance, name: str, *, follow: bool, tail: int) -> None:
    """Print a log file of the state folder."""
    path = local.logs / f"{name}.log"
    if not path.exists():
        raise NotRunning(f"NAME: {name} has not run in {local.state}: {path} does not exist")
    with path.open(errors="replace") as file:
        lines = file.read().splitlines(keepends=True)
        click.echo("".join(lines[-tail:] if tail > 0 else ([] if tail == 0 else lines)), nl=False)
        while follow:
            click.echo(file.read(), nl=False)
            time.sleep(FILE_POLL_S)


async def find_pods(client: Client, namespace: str, name: str) -> list[Object]:
    """Return the pods that `name` means, oldest first; raises Failure when there are none."""
    if name in install.COMPONENTS:
        selector = f"app.kubernetes.io/component={name}"
        pods = (await client.list(kinds.PODS, names.SYSTEM_NAMESPACE, labels=selector)).items
    else:
        pods = (await client.list(kinds.PODS, namespace, labels=f"{names.SERVICE_LABEL}={name}")).items
        pods = pods or (await client.list(kinds.PODS, namespace, labels=f"{names.REVISION_LABEL}={name}")).items
    if not pods:
        raise Failure(
            f"NAME: no pod of {name!r} in {namespace}; it may be scaled to zero (tidegate why {name} -n {namespace}), "
            f"or not be one of {', '.join((*PROCESSES, *install.COMPONENTS))}, a service or a revision"
        )
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


async def print_pods(where: connect.Connection, pods: list[Object], *, container: str, follow: bool, tail: int) -> None:
    """Print the logs of pods, one after another, or all at once when following."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, read_bufsize=LINE_LIMIT_BYTES) as session:
        streams = [
            _print_pod(session, where, pod, container, follow=follow, tail=tail, has_prefix=len(pods) > 1)
            for pod in pods
        ]
        if follow:
            await asyncio.gather(*streams)
            return
        for stream in streams:
            await stream


async def _print_pod(
    session: aiohttp.ClientSession,
    where: connect.Connection,
    pod: Object,
    container: str,
    *,
    follow: bool,
    tail: int,
    has_prefix: bool,
) -> None:
    name = pod["metadata"]["name"]
    prefix = f"[{name}] " if has_prefix else ""
    params = {"container": container or default_container(pod)}
    params |= {"follow": "true"} if follow else {}
    params |= {"tailLines": str(tail)} if tail >= 0 else {}
    path = kinds.PODS.path(pod["metadata"]["namespace"], name, "log")
    async for line in _lines(session, where, path, params):
        click.echo(prefix + line)


async def _lines(
    session: aiohttp.ClientSession, where: connect.Connection, path: str, params: dict[str, str]
) -> AsyncIterator[str]:
    headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
    context = where.ssl_context()
    try:
        async with session.get(
            where.server + path, params=params, headers=headers, ssl=context if context is not None else False
        ) as answer:
            if answer.status >= 400:
                raise Failure(f"{path}: {answer.status} {(await answer.text())[:500]}")
            async for line in answer.content:
                yield line.decode(errors="replace").rstrip("\n")
    except (aiohttp.ClientError, OSError) as error:
        raise NotRunning(f"the API server {where.server} does not answer: {error}") from error


def default_container(pod: Object) -> str:
    """Return the user container, or the first one where a pod has none of that name."""
    containers = [container["name"] for container in pod["spec"]["containers"]]
    return names.USER_CONTAINER if names.USER_CONTAINER in containers else str(containers[0])
