"""Options that several commands share, and where they lead: a state folder, an API server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tidegate.cli.failures import Failure, NotRunning
from tidegate.cli.instance import Instance
from tidegate.kube import connect
from tidegate.kube.api import ApiError, Unreachable
from tidegate.kube.client import Client

DEFAULT_STATE = "~/.tidegate"

T = TypeVar("T")
Command = Callable[..., Any]


def state_option(command: Command) -> Command:
    """Add --state: the folder of the local instance."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="TIDEGATE_STATE",
        help=f"State folder of the local instance. [default: {DEFAULT_STATE}, env: TIDEGATE_STATE]",
    )(command)


def kubeconfig_option(command: Command) -> Command:
    """Add --kubeconfig: any cluster that Tidegate is installed on."""
    return click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Kubeconfig of the cluster. [default: the local instance's when it runs, then $KUBECONFIG]",
    )(command)


def json_option(command: Command) -> Command:
    """Add --json: one JSON document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def namespace_option(command: Command) -> Command:
    """Add -n/--namespace."""
    return click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of NAME.")(command)


def open_instance(state: Path | None) -> Instance:
    """Return the instance of `--state` or the default folder."""
    return Instance((state or Path(DEFAULT_STATE)).expanduser().absolute())


def connection(state: Path | None, kubeconfig: Path | None) -> connect.Connection:
    """Return how to reach the API server: --kubeconfig, --state, a running local instance, then the usual places."""
    try:
        if kubeconfig:
            return connect.load(kubeconfig)
        local = open_instance(state)
        if state and not local.kubeconfig.exists():
            raise NotRunning(f"--state: no instance has run in {local.state}; start one: tidegate up --state {state}")
        if state or (local.kubeconfig.exists() and (local.supervisor() or not os.environ.get("KUBECONFIG"))):
            return connect.load(local.kubeconfig)
        return connect.load(None)
    except connect.ConnectError as error:
        raise NotRunning(f"{error}; start a local instance with: tidegate up") from error


def call(where: connect.Connection, work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client of that API server; its refusals become failures for people."""

    async def run() -> T:
        async with Client(where, user_agent="tidegate-cli") as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except Unreachable as error:
        raise NotRunning(
            f"the API server {where.server} does not answer ({error.message}); see: tidegate status"
        ) from error
    except ApiError as error:
        raise Failure(str(error)) from error
