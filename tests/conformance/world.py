"""What a conformance test has in its hands: a namespace of its own in a running cluster, and requests by Host header.

Tests are written against the public API and nothing of ours, so that they say the same of any cluster.
"""

from __future__ import annotations

import asyncio
import copy
import os
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from loadtest import load
from loadtest.figures import ROOT
from loadtest.instance import Instance, eventually, is_leaving, is_ready
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, PatchKind, Resource

KINDS: dict[str, Resource] = {
    "Service": resources.KNATIVE_SERVICES,
    "Configuration": resources.CONFIGURATIONS,
    "Route": resources.ROUTES,
    "Revision": resources.REVISIONS,
    "DomainMapping": resources.DOMAIN_MAPPINGS,
    "ConfigMap": resources.CONFIG_MAPS,
    "Secret": resources.SECRETS,
}
READY_TIMEOUT_S = 120.0
DOMAIN = "localhost"


def image(app: str) -> str:
    """Return the image of one of the test programs in `tests/conformance/apps`."""
    return f"conformance.local/{app}"


def container_of_a_user(app: str) -> Object:
    """Return a container of a test program that is not root: where the node is, an image that names its user, with an
    interpreter that every user may run."""
    if os.geteuid() != 0:
        return {"image": image(app)}
    return {"image": image(f"system/{app}"), "env": [{"name": "PYTHONPATH", "value": str(ROOT)}]}


def service(name: str, app: str = "helloworld", **changes: Any) -> Object:
    """Return a Service. `container`, `spec` (of the revision), `annotations`, `labels` (of the template) and `traffic`
    change what their names say; `metadata` goes to the Service itself."""
    container: Object = {"image": image(app)} | changes.get("container", {})
    template: Object = {"spec": {"containers": [container]} | changes.get("spec", {})}
    for part in ("annotations", "labels"):
        if part in changes:
            template.setdefault("metadata", {})[part] = changes[part]
    if "revision" in changes:
        template.setdefault("metadata", {})["name"] = changes["revision"]
    spec: Object = {"template": template}
    if "traffic" in changes:
        spec["traffic"] = changes["traffic"]
    metadata = {"name": name} | changes.get("metadata", {})
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": spec}


def condition(obj: Object, kind: str = "Ready") -> Object:
    """Return a condition of an object's status, empty when it has none."""
    found = (obj.get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == kind), {})


def is_current(obj: Object) -> bool:
    """Whether the status speaks of the newest generation."""
    return bool((obj.get("status") or {}).get("observedGeneration") == obj["metadata"].get("generation"))


@dataclass
class World:
    """A namespace of a test's own."""

    instance: Instance
    namespace: str = field(default_factory=lambda: f"conformance-{secrets.token_hex(4)}")

    async def enter(self) -> None:
        """Make the namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.instance.client.create(resources.NAMESPACES, body)

    async def leave(self) -> None:
        """Delete the namespace with all that is in it; nobody waits for it to be gone."""
        try:
            await self.instance.client.delete(resources.NAMESPACES, self.namespace)
        except ApiError as error:
            if not error.is_not_found:
                raise

    # Objects

    async def create(self, obj: Object) -> Object:
        """Create an object in this namespace (a Knative kind by its `kind`)."""
        obj = copy.deepcopy(obj)
        obj["metadata"].setdefault("namespace", self.namespace)
        return await self.instance.client.create(KINDS[obj["kind"]], obj, self.namespace)

    async def get(self, kind: str, name: str) -> Object:
        """Return an object of a Knative kind."""
        return await self.instance.client.get(KINDS[kind], name, self.namespace)

    async def all(self, resource: Resource, labels: str = "") -> list[Object]:
        """Return all objects of a kind in this namespace."""
        return (await self.instance.client.list(resource, self.namespace, labels)).items

    async def patch(self, kind: str, name: str, change: Any, *, as_json: bool = False) -> Object:
        """Merge `change` into an object, or apply it as a JSON patch."""
        how = PatchKind.JSON if as_json else PatchKind.MERGE
        return await self.instance.client.patch(KINDS[kind], name, change, self.namespace, kind=how)

    async def update_template(self, name: str, change: Object) -> Object:
        """Replace parts of a Service's template: `{"image": ...}`, `{"env": [...]}` of its first container, or
        `{"annotations": ...}`, `{"labels": ...}`, `{"name": ...}` of its metadata."""
        found = await self.get("Service", name)
        template = found["spec"]["template"]
        for key, value in change.items():
            if key in ("annotations", "labels", "name"):
                template.setdefault("metadata", {})[key] = value
            else:
                template["spec"]["containers"][0][key] = value
        return await self.instance.client.replace(resources.KNATIVE_SERVICES, found)

    async def delete(self, kind: str, name: str) -> None:
        """Delete an object of a Knative kind."""
        await self.instance.client.delete(KINDS[kind], name, self.namespace)

    # Waiting

    async def until(self, what: str, check: Any, timeout_s: float = READY_TIMEOUT_S) -> Any:
        """Return the first true result of the awaitable `check()`; a TimeoutError says `what` was awaited."""
        return await eventually(check, timeout_s, what, poll_s=0.1)

    async def ready(self, kind: str, name: str, timeout_s: float = READY_TIMEOUT_S) -> Object:
        """Return an object once it is Ready at its newest generation."""

        async def check() -> Object | None:
            found = await self.get(kind, name)
            return found if is_current(found) and is_ready(found) else None

        try:
            obj: Object = await self.until(f"{kind} {name} is Ready", check, timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {(await self.get(kind, name)).get('status')}") from None
        return obj

    async def failed(self, kind: str, name: str, timeout_s: float = READY_TIMEOUT_S) -> Object:
        """Return the Ready condition of an object once it is False at its newest generation."""

        async def check() -> Object | None:
            found = await self.get(kind, name)
            ready = condition(found)
            return ready if is_current(found) and ready.get("status") == "False" else None

        obj: Object = await self.until(f"{kind} {name} is not Ready", check, timeout_s)
        return obj

    async def gone(self, kind: str, name: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until an object is no more."""

        async def check() -> bool:
            try:
                await self.get(kind, name)
            except ApiError as error:
                return error.is_not_found
            return False

        await self.until(f"{kind} {name} is gone", check, timeout_s)

    async def deploy(self, obj: Object) -> Object:
        """Create a Service and return it once it is Ready."""
        await self.create(obj)
        return await self.ready("Service", obj["metadata"]["name"])

    async def deploy_parts(self, obj: Object) -> Object:
        """Create the Configuration and the Route that a Service would make, but no Service; return the ready Route."""
        name = obj["metadata"]["name"]
        specs = {
            "Configuration": {"template": obj["spec"]["template"]},
            "Route": {"traffic": [{"configurationName": name, "percent": 100}]},
        }
        for kind, spec in specs.items():
            metadata = {"name": name}
            await self.create({"apiVersion": obj["apiVersion"], "kind": kind, "metadata": metadata, "spec": spec})
        return await self.ready("Route", name)

    async def pods(self, revision: str) -> list[Object]:
        """Return the pods of a revision that are not leaving."""
        return [
            pod for pod in await self.all(resources.PODS, f"{names.REVISION_LABEL}={revision}") if not is_leaving(pod)
        ]

    async def ready_pods(self, revision: str) -> int:
        """Return how many pods of a revision are ready and stay."""
        return sum(map(is_ready, await self.pods(revision)))

    async def runs_processes(self) -> bool:
        """Whether the nodes run pods as plain processes, without a container around them."""
        nodes = (await self.instance.client.list(resources.NODES)).items
        return any(node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("process") for node in nodes)

    async def needs_isolation(self, kind: str, what: str) -> None:
        """Skip the test, with the node's own reason, where its processes are not isolated in this way."""
        if not await self.runs_processes():
            return
        for node in (await self.instance.client.list(resources.NODES)).items:
            found = next((one for one in node["status"]["conditions"] if one["type"] == kind), None)
            if found is None or found["status"] != "True":
                pytest.skip(f"{what}: {found['message'] if found else 'the node does not say'}")

    # Requests

    def host(self, name: str, tag: str = "") -> str:
        """Return the public host of a Route, or of one of its tags."""
        return f"{tag + '-' if tag else ''}{name}.{self.namespace}.{DOMAIN}"

    async def ask(self, host: str, path: str = "/", **more: Any) -> load.Reply:
        """Return the answer to one GET by Host header."""
        return await load.get(self.instance.port, host, path, **more)

    async def text(self, host: str, path: str = "/") -> str:
        """Return the body of an answer, which must be a 200: who is Ready is known to every gateway."""
        reply = await self.ask(host, path)
        assert reply.status == 200, reply
        return reply.body.decode()

    async def spread(self, host: str, requests: int = 200, at_once: int = 10) -> Counter[str]:
        """Return how often each body came back; every answer must be a 200."""
        counts: Counter[str] = Counter()

        async def some(number: int) -> None:
            for _ in range(number):
                counts[(await self.text(host)).strip()] += 1

        share, rest = divmod(requests, at_once)
        await asyncio.gather(*(some(share + (one < rest)) for one in range(at_once)))
        return counts

    async def serves(self, host: str, text: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the host of what is Ready answers 200 with a text: pods, or what a Route follows, may still
        change; that the gateway knows the host is not waited for."""

        async def check() -> bool:
            reply = await self.ask(host)
            assert reply.status != 404, f"{host} is Ready, and the gateway does not know it"
            return reply.status == 200 and text in reply.body.decode()

        await self.until(f"{host} serves {text!r}", check, timeout_s)


@dataclass
class Prober:
    """Asks a host again and again in the background; every answer must be a 200."""

    world: World
    host: str
    failures: list[str] = field(default_factory=list)
    asked: int = 0
    _stop: bool = False
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Prober:
        await self.world.text(self.host)
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop = True
        if self._task is not None:
            await self._task
        assert self.asked > 0
        assert self.failures == []

    async def _run(self) -> None:
        while not self._stop:
            begin = time.monotonic()
            reply = await self.world.ask(self.host)
            self.asked += 1
            if reply.status != 200:
                self.failures.append(f"{reply.status} {reply.body[:200]!r} {reply.headers}")
            await asyncio.sleep(max(0.0, 0.05 - (time.monotonic() - begin)))
