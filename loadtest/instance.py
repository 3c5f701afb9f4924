"""A local instance of its own: a temporary state folder, free ports, started and stopped by the real command.

Used by the demo, the wake measurement and the end-to-end tests, so that all of them exercise what a user types.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import yaml

from loadtest.figures import ROOT
from tidegate.contracts import names
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, Object, PatchKind, Resource
from tidegate.kube.client import Client

UP_TIMEOUT_S = 180.0
COMMAND_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 90.0
POLL_S = 0.02

_APPLIED: dict[str, Resource] = {
    "serving.knative.dev/v1/Service": resources.KNATIVE_SERVICES,
    "v1/ConfigMap": resources.CONFIG_MAPS,
}


class CommandFailed(RuntimeError):
    """A command against an instance ended with another status than 0; the message has both of its outputs."""


class Instance:
    """One running local instance; `client` talks to its API server."""

    def __init__(self, state: Path, port: int) -> None:
        self.state = state
        self.port = port
        self.client: Client

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig of this instance."""
        return self.state / "kubeconfig"

    def environment(self) -> dict[str, str]:
        """Return an environment in which kubectl and tidegate talk to this instance."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.state / "kubectl-cache")}

    def run(self, *command: str, check: bool = True, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command against this instance and return its standard output; raises `CommandFailed`."""
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False
        )
        if check and done.returncode:
            raise CommandFailed(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stdout

    async def command(self, *command: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command without stopping this loop; like `run`."""
        return await asyncio.to_thread(self.run, *command, timeout_s=timeout_s)

    def tidegate(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run the `tidegate` command on this instance's state folder."""
        verb, *rest = arguments
        return self.run(
            sys.executable, "-m", "tidegate.cli", verb, "--state", str(self.state), *rest, timeout_s=timeout_s
        )

    def supervisor_pid(self) -> int:
        """Return the process id of the supervisor, from the instance's own run file."""
        document = json.loads((self.state / "run.json").read_text())
        return int(document["pid"] if "pid" in document else document["supervisor"])

    async def apply(self, document: Object) -> Object:
        """Apply one object server-side."""
        resource = _APPLIED[f"{document['apiVersion']}/{document['kind']}"]
        metadata = document["metadata"]
        return await self.client.patch(
            resource,
            metadata["name"],
            document,
            metadata.get("namespace", "default"),
            kind=PatchKind.APPLY,
            manager="loadtest",
            force=True,
        )

    async def configure(self, config_map: str, data: dict[str, str]) -> None:
        """Change keys of one ConfigMap of the system namespace."""
        await self.client.patch(resources.CONFIG_MAPS, config_map, {"data": data}, names.SYSTEM_NAMESPACE)

    async def revision_of(self, service: str, namespace: str = "default") -> str:
        """Return the name of the service's latest ready revision."""
        obj = await self.client.get(resources.KNATIVE_SERVICES, service, namespace)
        return str(obj["status"]["latestReadyRevisionName"])

    async def pods_of(self, revision: str, namespace: str = "default") -> list[Object]:
        """Return the revision's pods, terminating ones included."""
        return (await self.client.list(resources.PODS, namespace, f"{names.REVISION_LABEL}={revision}")).items

    async def ready_pods(self, revision: str, namespace: str = "default") -> int:
        """Return how many of the revision's pods are ready and stay."""
        return sum(is_ready(pod) for pod in await self.pods_of(revision, namespace) if not is_leaving(pod))

    async def wait_service_ready(
        self, service: str, timeout_s: float = READY_TIMEOUT_S, namespace: str = "default"
    ) -> Object:
        """Return the Knative Service once it is Ready at its current generation."""

        async def ready() -> Object | None:
            found = await self.client.get(resources.KNATIVE_SERVICES, service, namespace)
            status = found.get("status") or {}
            observed = status.get("observedGeneration") == found["metadata"].get("generation")
            return found if observed and is_ready(found) else None

        obj: Object = await eventually(ready, timeout_s, f"service {service} is Ready")
        return obj

    async def wait_zero(self, revision: str, timeout_s: float = READY_TIMEOUT_S, namespace: str = "default") -> None:
        """Return once no pod of the revision is left, not even a terminating one."""

        async def gone() -> bool:
            return not await self.pods_of(revision, namespace)

        await eventually(gone, timeout_s, f"revision {revision} is at zero")

    async def admin(self, component: str, path: str) -> Any:
        """Return a JSON page of a component's admin port, through the API server."""
        label = f"app.kubernetes.io/component={component}"
        pods = (await self.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
        name = next(pod["metadata"]["name"] for pod in pods if is_ready(pod) and not is_leaving(pod))
        root = f"/api/v1/namespaces/{names.SYSTEM_NAMESPACE}/pods/{name}:{names.ADMIN_PORT}/proxy"
        return json.loads(await self.client.raw("GET", root + path))


def is_ready(obj: Object) -> bool:
    """Whether the object's Ready condition is True."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_leaving(obj: Object) -> bool:
    """Whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


async def eventually(check: Callable[[], Any], timeout_s: float, what: str, poll_s: float = POLL_S) -> Any:
    """Return the first true result of the awaitable `check()`; raises TimeoutError that says `what` was awaited.

    An API server that refuses, and a command that fails, mean: not yet.
    """
    deadline = time.monotonic() + timeout_s
    last: Exception | None = None
    while True:
        try:
            if result := await check():
                return result
        except (ApiError, CommandFailed) as error:
            last = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}" + (f" ({last})" if last else ""))
        await asyncio.sleep(poll_s)


def example(name: str, **changes: Any) -> Object:
    """Return the Knative Service of an example; `annotations` (None removes one), `env` (name to value) and `service`
    (its name) change it."""
    document: Object = yaml.safe_load((ROOT / "examples" / name / "service.yaml").read_text())
    document["metadata"]["name"] = changes.get("service", document["metadata"]["name"])
    template = document["spec"]["template"]
    metadata = template.setdefault("metadata", {})
    annotations = metadata.get("annotations", {}) | changes.get("annotations", {})
    metadata["annotations"] = {key: value for key, value in annotations.items() if value is not None}
    container = template["spec"]["containers"][0]
    env = {entry["name"]: entry for entry in container.get("env", [])}
    env |= {key: {"name": key, "value": value} for key, value in changes.get("env", {}).items()}
    if env:
        container["env"] = list(env.values())
    return document


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.asynccontextmanager
async def started(*, keep: bool = False) -> AsyncIterator[Instance]:
    """Start an instance in a temporary folder, and stop and remove it at the end whatever happened (`keep` leaves the
    folder)."""
    state = Path(tempfile.mkdtemp(prefix="tidegate-"))
    instance = Instance(state, free_port())
    try:
        await asyncio.to_thread(instance.tidegate, "up", "--port", str(instance.port), timeout_s=UP_TIMEOUT_S)
        instance.client = Client(connect.load(instance.kubeconfig), user_agent="loadtest")
        async with instance.client:
            yield instance
    finally:
        await asyncio.to_thread(instance.tidegate, "down", timeout_s=UP_TIMEOUT_S)
        if not keep:
            shutil.rmtree(state, ignore_errors=True)
