"""A Loop on a scripted API server, with a clock that a test moves, and a revision for it to mind."""

from __future__ import annotations

import asyncio
import contextlib

from autoscaler.demand import Book, Demand
from autoscaler.loop import Loop
from autoscaler.watch import World
from tests.support.fake_api import FakeApi
from tidegate.contracts import names
from tidegate.contracts.decision import Decision
from tidegate.contracts.report import Report
from tidegate.kube import resources
from tidegate.process import tasks

KEY = ("default", "hello-00001")
DEPLOYMENT = "hello-00001-deployment"
LABELS = {names.REVISION_LABEL: "hello-00001", names.REVISION_UID_LABEL: "revision-uid"}


class System:
    """A Loop with its caches on a FakeApi, and a clock that a test moves."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.now = 1000.5
        self.world = World(api)
        self.demand = Demand()
        self.loop = Loop(api, self.world, self.demand, lambda: self.now, lambda: 1_800_000_000.0 + self.now)
        self.loop.publisher.recorder.delay_s = 0
        self.row = -1
        self.book: Book = {}

    def connect(self) -> None:
        """A queueproxy connects."""
        self.row = self.demand.open(KEY, self.now)

    def report(self, report: Report) -> None:
        if self.row < 0:
            self.connect()
        self.demand.sources.take(self.row, report, self.now)

    def poke(self, in_flight: int) -> None:
        """An activator has requests that wait."""
        row = self.book.get(KEY)
        row = self.demand.open_for(self.book, KEY, self.now) if row is None else row
        self.demand.sources.take(row, Report(*KEY, 1, 0.0, 0.0, in_flight=in_flight, is_first=True), self.now)
        self.loop.poke(KEY)

    async def seconds(self, count: int, concurrency: float | None = None) -> None:
        """Let seconds pass, each with one report of a queueproxy."""
        for _ in range(count):
            self.now += 1
            if concurrency is not None:
                self.report(Report(*KEY, 1, 1.0, concurrency))
            await self.loop.tick(self.now)
            await self.settle()

    async def settle(self) -> None:
        """Let everything that is under way come to rest."""
        for _ in range(60):
            await asyncio.sleep(0)

    @property
    def replicas(self) -> int:
        return self.api.peek(resources.DEPLOYMENTS, DEPLOYMENT, "default")["spec"]["replicas"]

    @property
    def autoscaler(self) -> dict:
        return self.api.peek(resources.POD_AUTOSCALERS, "hello-00001", "default")

    def patches(self, plural: str) -> int:
        return sum(1 for verb, kind, _name in self.api.calls if verb == "patch" and kind == plural)

    def events(self) -> list[str]:
        return [event["reason"] for event in self.api.all(resources.EVENTS)]

    def pods(self, ready: int) -> None:
        for number in range(ready):
            condition = {"type": "Ready", "status": "True"}
            self.api.put(
                resources.PODS,
                {
                    "metadata": {"name": f"pod-{number}", "namespace": "default", "labels": LABELS},
                    "status": {"phase": "Running", "conditions": [condition]},
                },
            )

    def latest(self) -> Decision:
        return self.loop.latest(KEY)


def put_revision(api: FakeApi, replicas: int = 0, status: dict | None = None, uid: str = "one", **annotations) -> None:
    api.put(
        resources.DEPLOYMENTS,
        {"metadata": {"name": DEPLOYMENT, "namespace": "default", "labels": LABELS}, "spec": {"replicas": replicas}},
    )
    put_autoscaler(api, status, uid, **annotations)


def put_settings(api: FakeApi, **data: str) -> None:
    """Write config-autoscaler; underscores in keys stand for dashes."""
    metadata = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
    api.put(
        resources.CONFIG_MAPS,
        {"metadata": metadata, "data": {key.replace("_", "-"): value for key, value in data.items()}},
    )


def put_autoscaler(api: FakeApi, status: dict | None = None, uid: str = "one", **annotations) -> None:
    body = {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": uid,
            "generation": 1,
            "labels": LABELS,
            "annotations": {names.AUTOSCALING + key.replace("_", "-"): value for key, value in annotations.items()},
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT},
            "reachability": "Reachable",
            "containerConcurrency": 0,
        },
    }
    api.put(resources.POD_AUTOSCALERS, body | ({"status": status} if status else {}))


class Holders:
    """One other replica, which decides for all whose name says so."""

    def is_ours(self, key: tuple[str, str]) -> bool:
        return key[1] not in ("theirs", "orphan")

    def holder_of(self, key: tuple[str, str]) -> str:
        return "other-pod_10.0.0.2:8080" if key[1] == "theirs" else ""


@contextlib.asynccontextmanager
async def running(api: FakeApi):
    system = System(api)
    caches = [tasks.spawn(cache.run(), "cache") for cache in system.world.caches]
    try:
        async with asyncio.timeout(60):
            for cache in system.world.caches:
                await cache.wait_synced(60)
        await system.settle()
        yield system
    finally:
        await tasks.cancel(*caches)
        await system.loop.publisher.close()


def inactive(**more) -> dict:
    stamp = "2020-01-01T00:00:00Z"
    return {
        "observedGeneration": 1,
        "desiredScale": 0,
        "actualScale": 0,
        "servingMode": "Proxy",
        "conditions": [
            {"type": "Active", "status": "False", "reason": "NoTraffic", "lastTransitionTime": stamp},
            {"type": "ScaleTargetInitialized", "status": "True", "lastTransitionTime": stamp},
        ],
        **more,
    }
