"""A simulated cluster for the autoscaler: an API server in this process whose pods are ready as soon as asked for.

Objects are those a real server lists, with every field that Tidegate's controller writes; watches deliver what patches
change. Nothing is stored or checked: what is measured is the autoscaler.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from autoscaler.connection import Connection
from autoscaler.demand import Demand
from autoscaler.ingest import Bounds, Ingest
from autoscaler.loop import Loop
from autoscaler.watch import World
from tidegate.contracts import names, report
from tidegate.kube import resources
from tidegate.kube.api import Api, Object, Page, PatchKind, Resource, WatchEvent
from tidegate.process import tasks

NAMESPACE = "default"
KEY = b"a report key of thirty-two bytes"
MANY = 10**9
STAMP = "2026-11-21T00:00:00Z"


def revision(number: int) -> str:
    """Return the name of a revision."""
    return f"service-{number:06d}-00001"


def number_of(name: str) -> int:
    """Return the number of the revision that an object is named for."""
    return int(name.split("-")[1])


class Made(dict[str, Object]):
    """The objects of one kind. Unless all are stored at once, each is made when asked for, and kept once written to.

    So the server can take next to nothing of the memory of the process that it shares with the autoscaler.
    """

    def __init__(self, make: Callable[[int], Object], count: int, *, is_stored: bool) -> None:
        self._make = make
        self.count = count
        made = (make(number) for number in range(count if is_stored else 0))
        super().__init__((obj["metadata"]["name"], obj) for obj in made)

    def numbered(self, number: int) -> Object:
        """Return the object of a revision as it is now."""
        made = self._make(number)
        return self.get(made["metadata"]["name"], made)

    def __missing__(self, name: str) -> Object:
        return self._make(number_of(name))


NOTHING = Made(lambda _number: {}, 0, is_stored=False)


class SimulatedApi:
    """The verbs that the autoscaler uses. `patched` hears of every scale that is patched."""

    def __init__(self, revisions: int, replicas: int, *, is_stored: bool = True) -> None:
        self.version = 1
        self.patched: Callable[[str], None] = lambda _name: None
        self.objects: dict[str, Made] = {
            resources.POD_AUTOSCALERS.plural: Made(lambda n: autoscaler(n, replicas), revisions, is_stored=is_stored),
            resources.DEPLOYMENTS.plural: Made(lambda n: deployment(n, replicas), revisions, is_stored=is_stored),
            resources.PODS.plural: Made(
                lambda n: pod(revision(n), 0), revisions if replicas else 0, is_stored=is_stored
            ),
        }
        self._queues: dict[str, asyncio.Queue[WatchEvent]] = {}

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        *,
        limit: int = 0,
        after: str = "",
    ) -> Page:
        """Return a page of what there is, as objects of their own: so they come from a server's bytes."""
        begin = int(after or 0)
        objects = self.objects.get(resource.plural, NOTHING)
        end = begin + (limit or objects.count)
        found = [objects.numbered(number) for number in range(begin, min(end, objects.count))]
        more = str(end) if end < objects.count else ""
        return Page(msgspec.json.decode(msgspec.json.encode(found)), str(self.version), more)

    async def watch(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield what patches change."""
        queue = self._queues.setdefault(resource.plural, asyncio.Queue())
        while True:
            yield await queue.get()

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        manager: str = "tidegate",
        force: bool = False,
    ) -> Object:
        """Patch the scale of a Deployment, which makes its pods at once, or the status of a PodAutoscaler."""
        self.version += 1
        part = "status" if subresource == "status" else "spec"
        before = self.objects[resource.plural][name]
        after = before | {
            part: before.get(part, {}) | patch[part],
            "metadata": before["metadata"] | {"resourceVersion": str(self.version)},
        }
        self._store(resource, after)
        if resource == resources.DEPLOYMENTS:
            label = names.REVISION_LABEL
            self.patched(before["metadata"]["labels"][label])
            wanted = patch["spec"]["replicas"]
            for number in range(wanted):
                self._store(resources.PODS, pod(before["metadata"]["labels"][label], number, self.version))
            for number in range(wanted, before["spec"]["replicas"]):
                self._remove(resources.PODS, f"{before['metadata']['labels'][label]}-{number}")
        return after

    async def create(self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "") -> Object:
        """Take an Event; it goes nowhere."""
        return obj

    def _remove(self, resource: Resource, name: str) -> None:
        gone, queue = self.objects[resource.plural].pop(name, None), self._queues.get(resource.plural)
        if gone is not None and queue is not None:
            queue.put_nowait(WatchEvent("DELETED", gone))

    def _store(self, resource: Resource, obj: Object) -> None:
        name = obj["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[resource.plural] else "ADDED"
        self.objects[resource.plural][name] = obj
        queue = self._queues.get(resource.plural)
        if queue is not None:
            queue.put_nowait(WatchEvent(kind, obj))


class Autoscaler:
    """The autoscaler on a simulated API server, and an activator that reports to it."""

    def __init__(self, api: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.api: Api = api
        self.world = World(self.api, clock=clock)
        self.demand = Demand()
        self.loop = Loop(self.api, self.world, self.demand, clock, time.time)
        self.ingest = Ingest(
            self.demand,
            key=lambda: KEY,
            clock=clock,
            on_poke=self.loop.poke,
            bounds=Bounds(queueproxy_frames_per_s=MANY, activator_frames_per_s=MANY),
        )
        self.caches: list[asyncio.Task[None]] = []
        self.sequence = 0

    async def start(self) -> None:
        """Fill the caches and decide once for everything."""
        self.caches = [tasks.spawn(cache.run(), "cache") for cache in self.world.caches]
        for cache in self.world.caches:
            await cache.wait_synced(600.0)
        await self.rest()

    async def rest(self) -> None:
        """Let all work in progress end."""
        while self.loop._dirty or self.loop.publisher._lanes:  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End all tasks."""
        await tasks.cancel(*self.caches)
        await self.loop.publisher.close()

    def connect(self, hello: report.Hello) -> Connection:
        """Return a connection without a socket; its bytes come by `data_received`."""
        connection = Connection(self.ingest)
        connection.connection_made(Wire())
        connection.data_received(report.encode(hello))
        return connection

    def activator(self) -> Connection:
        """Return the connection of an activator."""
        any_revision = report.ANY_REVISION
        return self.connect(report.Hello("activator", "a", "", any_revision, report.token(KEY, "", any_revision)))

    def queueproxy(self, number: int) -> Connection:
        """Return the connection of a queueproxy."""
        token = report.token(KEY, NAMESPACE, revision(number))
        return self.connect(report.Hello("queueproxy", f"pod-{number}", NAMESPACE, revision(number), token))

    def poke(self, number: int) -> bytes:
        """Return the frame that tells of the first request of a revision."""
        self.sequence += 1
        return report.encode(
            report.Report(NAMESPACE, revision(number), self.sequence, 0.0, 0.0, in_flight=1, is_first=True)
        )


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Lose it."""

    def is_closing(self) -> bool:
        """Return whether it is closed: never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return what is unread: nothing."""
        return 0


def _uid(number: int) -> str:
    return str(uuid.UUID(int=random.Random(number).getrandbits(128), version=4))


def _metadata(name: str, number: int, version: int = 1) -> Object:
    service = f"service-{number:06d}"
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": _uid(number),
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": STAMP,
        "labels": {
            "app": revision(number),
            names.SERVICE_LABEL: service,
            names.CONFIGURATION_LABEL: service,
            names.REVISION_LABEL: revision(number),
            names.REVISION_UID_LABEL: _uid(-number - 1),
        },
        "ownerReferences": [
            {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "name": revision(number), "controller": True}
        ],
    }


def autoscaler(number: int, replicas: int) -> Object:
    """Return a PodAutoscaler that has been at `replicas` for long."""
    active = "True" if replicas else "False"
    return {
        "apiVersion": resources.POD_AUTOSCALERS.api_version,
        "kind": "PodAutoscaler",
        "metadata": _metadata(revision(number), number)
        | {"annotations": {"autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"}},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": names.deployment_name(revision(number)),
            },
            "reachability": "Reachable",
            "containerConcurrency": 0,
            "protocolType": "http1",
        },
        "status": {
            "observedGeneration": 1,
            "desiredScale": replicas,
            "actualScale": replicas,
            "servingMode": "Proxy",
            "serviceName": f"{revision(number)}-private",
            "metricsServiceName": f"{revision(number)}-private",
            "conditions": [
                {"type": kind, "status": value, "lastTransitionTime": STAMP} | reason
                for kind, value, reason in (
                    ("Active", active, {} if replicas else _WHY),
                    ("Ready", active, {} if replicas else _WHY),
                    ("SKSReady", "True" if replicas else "Unknown", {} if replicas else _NOT_READY),
                    ("ScaleTargetInitialized", "True", {}),
                )
            ],
        },
    }


_WHY = {"reason": "NoTraffic", "message": "The target is not receiving traffic."}
_NOT_READY = {"reason": "NotReady", "message": "No pod is ready."}


def deployment(number: int, replicas: int) -> Object:
    """Return the Deployment of a revision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(names.deployment_name(revision(number)), number),
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {names.REVISION_LABEL: revision(number)}},
            "template": {
                "metadata": {"labels": {names.REVISION_LABEL: revision(number)}},
                "spec": {"containers": [{"name": "user-container", "image": "example.com/app:1"}]},
            },
        },
    }


def pod(name: str, number: int, version: int = 1) -> Object:
    """Return a ready pod of a revision."""
    return {
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": NAMESPACE,
            "resourceVersion": str(version),
            "labels": {names.REVISION_LABEL: name},
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
