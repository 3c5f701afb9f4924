"""An upgrade under load: `kubectl apply -k` replaces every component and widens a kind, and no request fails.

The old version is what `tidegate up` installed. The new one is the same overlay with another pod template for every
Deployment, and with a Service kind that has one more field and one more served version.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtest import load
from loadtest.figures import ROOT
from loadtest.instance import UP_TIMEOUT_S, Instance, eventually, example, free_port, is_ready
from tidegate.cli import install
from tidegate.contracts import names
from tidegate.kube import connect, resources
from tidegate.kube.api import Object
from tidegate.kube.client import Client

AUTOSCALING = "autoscaling.knative.dev/"
WINDOW_S, SCALED_WINDOW_S = 6.0, 15.0
WINDOW = {f"{AUTOSCALING}window": f"{WINDOW_S:g}s"}
ALWAYS = WINDOW | {f"{AUTOSCALING}min-scale": "1"}
AT_ZERO = WINDOW | {f"{AUTOSCALING}initial-scale": "0"}
TARGET_OF_ONE = {f"{AUTOSCALING}target": "1", f"{AUTOSCALING}target-utilization-percentage": "100"}
SERVICES: dict[str, tuple[str, dict[str, str]]] = {
    "direct": ("echo", ALWAYS | {f"{AUTOSCALING}target-burst-capacity": "0"}),
    "buffered": ("echo", ALWAYS | {f"{AUTOSCALING}target-burst-capacity": "-1"}),
    # Two callers that always have one request there: two pods, before, during and after.
    # Its window is long enough for two callers that stand still for some seconds, on a machine that does.
    "scaled": ("echo", {f"{AUTOSCALING}window": f"{SCALED_WINDOW_S:g}s"} | TARGET_OF_ONE),
    "idle": ("hello", AT_ZERO),
} | {f"sleeper-{number}": ("hello", AT_ZERO) for number in range(4)}
CALLERS: list[tuple[str, str, bool]] = [
    # Service, path, and whether the connection is kept alive; who does not makes a new one for each request.
    ("direct", "/", True),
    ("direct", "/", False),
    ("buffered", "/", True),
    ("buffered", "/", False),
    ("scaled", "/wait?ms=400", True),
    ("scaled", "/wait?ms=400", False),
    ("direct", "/wait?ms=2500", True),
]
PAUSE_S = 0.005
WAKE_EVERY_S = 0.7
KEPT_SCALES = {"direct": {1}, "buffered": {1}, "scaled": {2}, "idle": {0}}


@dataclass
class Seen:
    """What callers were answered and what was asked for, by service; `ended` ends both."""

    replies: dict[str, list[load.Reply]] = field(default_factory=dict)
    scales: dict[str, set[int]] = field(default_factory=dict)
    written: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def failures(self) -> list[tuple[str, load.Reply]]:
        return [(name, one) for name, replies in self.replies.items() for one in replies if one.status != 200]


@pytest.fixture
async def own(tmp_path: Path, kubectl: str) -> AsyncIterator[Instance]:
    """An instance of this test's own, with all services Ready."""
    instance = Instance(tmp_path / "state", free_port())
    up = ("up", "--strict", "--port", str(instance.port))
    try:
        await asyncio.to_thread(instance.tidegate, *up, timeout_s=UP_TIMEOUT_S)
        async with Client(connect.load(instance.kubeconfig), user_agent="e2e") as instance.client:
            await instance.configure("config-autoscaler", {"allow-zero-initial-scale": "true"})
            await eventually(lambda: _deployed(instance), 90, "services are taken")
            for name in SERVICES:
                await instance.wait_service_ready(name)
            yield instance
    finally:
        await asyncio.to_thread(instance.tidegate, "down", timeout_s=UP_TIMEOUT_S)


@pytest.mark.timeout(600)
async def test_no_request_fails_while_every_component_is_replaced(own: Instance, tmp_path: Path) -> None:
    seen = Seen()
    async with asyncio.TaskGroup() as group:
        try:
            for task in _callers(own, seen):
                group.create_task(task)
            await eventually(lambda: _has_pods(own, "scaled", 2), 90, "two pods are asked for", poll_s=0.1)
            stored = await own.client.get(resources.KNATIVE_SERVICES, "direct", "default")
            group.create_task(_watch_scales(own, seen))
            group.create_task(_write(own, seen))
            await _upgrade(own, seen, tmp_path / "next")
            # A window later the new autoscaler decides by its own figures alone.
            await asyncio.sleep(SCALED_WINDOW_S)
        finally:
            seen.ended.set()
    assert seen.failures() == []
    assert {name: len(replies) for name, replies in seen.replies.items() if "sleeper" in name} == {
        name: 1 for name in SERVICES if "sleeper" in name
    }
    assert {name: seen.scales[name] for name in KEPT_SCALES} == KEPT_SCALES
    assert min(len(seen.replies["direct"]), len(seen.replies["buffered"])) > 100, "a load that stood still"
    assert seen.written > 10
    await _check_kind(own, stored)


async def _upgrade(own: Instance, seen: Seen, folder: Path) -> None:
    """Apply the new version, wake services while it rolls, and return when no old pod is left."""
    before = await _system_pods(own)
    flags = ("--server-side", "--force-conflicts", f"--field-manager={install.MANAGER}")
    command = ("kubectl", "apply", *flags, "-k", str(_next_version(folder)))
    applied = asyncio.ensure_future(own.command(*command))
    for name in SERVICES:
        if "sleeper" in name:
            await asyncio.sleep(WAKE_EVERY_S)
            seen.replies[name] = [await load.get(own.port, f"{name}.default.localhost")]
    assert "deployment.apps/gateway serverside-applied" in await applied
    await eventually(lambda: _is_replaced(own, before), 150, "every pod of the system is a new one", poll_s=0.1)


def _next_version(folder: Path) -> Path:
    """Write the overlay of the new version."""
    [kind] = yaml.safe_load_all((ROOT / "manifests" / "base" / "crds" / "service.yaml").read_text())
    [version] = kind["spec"]["versions"]
    note = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note"
    mark = {"op": "add", "path": "/spec/template/metadata/annotations", "value": {"example.com/version": "2"}}
    changes = {
        "Deployment": [mark],
        "CustomResourceDefinition": [
            {"op": "add", "path": note, "value": {"type": "string"}},
            {"op": "add", "path": "/spec/versions/-", "value": version | {"name": "v2", "storage": False}},
        ],
    }
    named = {"CustomResourceDefinition": kind["metadata"]["name"]}
    kustomization = {
        "resources": [os.path.relpath(ROOT / "manifests" / "overlays" / "local", folder)],
        "patches": [
            {"target": {"kind": target, "name": named.get(target, ".*")}, "patch": yaml.safe_dump(patch)}
            for target, patch in changes.items()
        ],
    }
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


async def _check_kind(own: Instance, stored: Object) -> None:
    """The stored object is the same one in both versions, and takes the new field."""
    live = await own.client.get(resources.KNATIVE_SERVICES, "direct", "default")
    for path in ("uid", "generation", "creationTimestamp"):
        assert live["metadata"][path] == stored["metadata"][path], path
    assert live["spec"] == stored["spec"]
    both = "jsonpath={.apiVersion} {.metadata.uid}"
    shown = await own.command("kubectl", "get", "services.v2.serving.knative.dev", "direct", "-o", both)
    assert shown == f"serving.knative.dev/v2 {stored['metadata']['uid']}"
    note = await own.client.patch(resources.KNATIVE_SERVICES, "idle", {"spec": {"note": "new"}}, "default")
    assert note["spec"]["note"] == "new"


# --- what goes on meanwhile ---


def _callers(own: Instance, seen: Seen) -> Iterator[Coroutine[Any, Any, None]]:
    for name, path, is_kept in CALLERS:
        yield _call(own, seen, name, path, is_kept)


async def _call(own: Instance, seen: Seen, name: str, path: str, is_kept: bool) -> None:
    """Send one request after another; POSTs, which nobody may send again, where the path is `/`."""
    connection, replies = load.Connection("127.0.0.1", own.port), seen.replies.setdefault(name, [])
    method, body = ("POST", b"hello") if path == "/" else ("GET", b"")
    while not seen.ended.is_set():
        replies.append(await connection.request(f"{name}.default.localhost", path, method=method, body=body))
        if not is_kept:
            await connection.close()
        if path == "/":
            await asyncio.sleep(PAUSE_S)
    await connection.close()


async def _write(own: Instance, seen: Seen) -> None:
    """Change an object again and again: the webhook must always answer, or the write is refused."""
    while not seen.ended.is_set():
        change = {"metadata": {"labels": {"written": str(seen.written)}}}
        await own.client.patch(resources.KNATIVE_SERVICES, "idle", change, "default")
        seen.written += 1
        await asyncio.sleep(0.1)


async def _watch_scales(own: Instance, seen: Seen) -> None:
    while not seen.ended.is_set():
        for one in (await own.client.list(resources.DEPLOYMENTS, "default")).items:
            service = one["metadata"]["labels"][names.SERVICE_LABEL]
            seen.scales.setdefault(service, set()).add(one["spec"]["replicas"])
        await asyncio.sleep(0.1)


async def _deployed(own: Instance) -> bool:
    for name, (app, scaling) in SERVICES.items():
        await own.apply(example(app, service=name, annotations=scaling))
    return True


async def _has_pods(own: Instance, service: str, pods: int) -> bool:
    return await own.ready_pods(await own.revision_of(service)) == pods


async def _system_pods(own: Instance) -> dict[str, Object]:
    pods = (await own.client.list(resources.PODS, names.SYSTEM_NAMESPACE)).items
    return {pod["metadata"]["uid"]: pod for pod in pods}


async def _is_replaced(own: Instance, before: dict[str, Object]) -> bool:
    pods = await _system_pods(own)
    return not before.keys() & pods.keys() and len(pods) == len(before) and all(map(is_ready, pods.values()))
