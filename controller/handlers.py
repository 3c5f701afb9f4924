"""The only kopf file: watches, each handing what it sees to the worker and nothing else.

kopf keeps the streams alive; it stores nothing on objects (no finalizers, no annotations) and posts no events.
Handlers decide nothing: a missed or repeated event costs at most a look at an object that needs nothing.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
import signal
from collections.abc import Callable
from typing import Any

from controller.lean_kopf import kopf
from controller.objects import WATCHED
from controller.worker import Worker
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource
from tidegate.kube.connect import Bearer, Connection

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
TOKEN_LASTS_S = 300.0
"""kopf asks for the token again after this time; clusters replace a pod's token minutes before it ends."""
RETRY_DELAYS_S = (0.1, 0.2, 0.5, 1.0, *(2.0,) * 10_000)
"""An API server may be away for hours; kopf gives up for good when these are spent."""
OnConfig = Callable[[], None]

_OURS = f"{names.REVISION_LABEL}"
_SELECTED_BY_LABEL = (resources.DEPLOYMENTS, resources.PODS)


class _NoDiffs(kopf.DiffBaseStorage):
    """No memory of what an object was: nothing here is handled by difference, and each event would cost a deep copy."""

    def build(self, **_: Any) -> Any:
        """Return an object's essence: none is wanted."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Return the essence kept on an object: there is none."""

    def store(self, **_: Any) -> None:
        """Keep an essence on an object: never."""


def registry(worker: Worker, connection: Connection, config_changed: OnConfig) -> kopf.OperatorRegistry:
    """Return kopf's registry with a handler per watched kind; `config_changed` is called when a ConfigMap changes."""
    made, bearer = kopf.OperatorRegistry(), Bearer(connection)

    @kopf.on.login(registry=made)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(connection, bearer.token())

    for resource in WATCHED:
        _watch(made, resource, worker, config_changed)
    return made


def settings(system_namespace: str) -> kopf.OperatorSettings:
    """Return kopf's settings: quiet, stateless, and watching only what is ours among pods and Deployments."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.networking.connect_timeout = CONNECT_TIMEOUT_S
    made.networking.request_timeout = REQUEST_TIMEOUT_S
    made.networking.error_backoffs = RETRY_DELAYS_S
    made.watching.connect_timeout = CONNECT_TIMEOUT_S
    made.queueing.idle_timeout = 1.0
    made.queueing.exit_timeout = 0.1
    made.process.ultimate_exiting_timeout = None
    made.persistence.diffbase_storage = _NoDiffs()
    for resource in _SELECTED_BY_LABEL:
        made.watching.label_selectors[_selector(resource)] = _OURS
    made.watching.field_selectors[_selector(resources.CONFIG_MAPS)] = f"metadata.namespace={system_namespace}"
    return made


async def run(
    worker: Worker, connection: Connection, system_namespace: str, config_changed: OnConfig, stopping: asyncio.Event
) -> None:
    """Run kopf until cancelled, or until it ends by itself, which is an error."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # Each watch tells of each failed try; the worker's and watchdog's own calls tell once what is wrong.
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
    spawned = await kopf.spawn_tasks(
        registry=registry(worker, connection, config_changed),
        settings=settings(system_namespace),
        standalone=True,
        clusterwide=True,
        # Peering is off; kopf would still ask for the user's name, which a container's user need not have.
        identity="tidegate",  # type: ignore[arg-type]  # a NewType of kopf that it does not export
    )
    # kopf took the signals, for an orderly end of many seconds; nothing here needs one. For the same reason its tasks
    # are watched here and not by kopf.run_tasks, which would also cancel every other task of the process.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        ended, _ = await asyncio.wait(spawned, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
        raise RuntimeError(f"kopf ended by itself: {sorted(task.get_name() for task in ended)}")
    finally:
        for task in spawned:
            task.cancel()
        # Once only: the one that closes kopf's connections waits for the others, and a second call would end it early.
        await asyncio.wait(spawned, timeout=STOP_TIMEOUT_S)


def connection_info(connection: Connection, token: str) -> kopf.ConnectionInfo:
    """Return our connection in kopf's terms; with a token from a file, only for as long as such a token is fresh."""
    lasting = datetime.timedelta(seconds=TOKEN_LASTS_S)
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_data=_encoded(connection.ca_pem),
        insecure=not connection.verify,
        token=token or None,
        certificate_data=_encoded(connection.client_cert_pem),
        private_key_data=_encoded(connection.client_key_pem),
        default_namespace=connection.namespace,
        expiration=datetime.datetime.now(datetime.UTC) + lasting if connection.token_file else None,
    )


def _watch(made: kopf.OperatorRegistry, resource: Resource, worker: Worker, config_changed: OnConfig) -> None:
    @kopf.on.event(
        group=resource.group, version=resource.version, plural=resource.plural, registry=made, id=resource.plural
    )
    async def on_event(event: Any, **_: Any) -> None:
        obj: Object = event["object"]
        if event["type"] == "DELETED":
            worker.forget(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        else:
            worker.see(resource, obj)
        if resource is resources.CONFIG_MAPS:
            config_changed()


def _selector(resource: Resource) -> Any:
    return lambda found: (
        (found.group, found.version, found.plural)
        == (
            resource.group,
            resource.version,
            resource.plural,
        )
    )


def _encoded(pem: str) -> str | None:
    return base64.b64encode(pem.encode()).decode() if pem else None
