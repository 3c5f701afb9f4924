"""Taken away as documented, services first, then the system: nothing hangs and nothing is left (docs/cluster.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest import load
from loadtest.figures import ROOT
from loadtest.instance import UP_TIMEOUT_S, Instance, eventually, example, free_port
from tidegate.contracts import names
from tidegate.kube import connect
from tidegate.kube.client import Client

OVERLAY = str(ROOT / "manifests" / "overlays" / "local")
GROUPS = ("knative.dev", "kserve.io", "tidegate")
CLUSTER_WIDE = (
    "customresourcedefinitions,clusterroles,clusterrolebindings,namespaces,"
    "mutatingwebhookconfigurations,validatingwebhookconfigurations"
)
ELSEWHERE = "deployments,replicasets,pods,services,endpoints,endpointslices,configmaps,secrets,leases"


@pytest.fixture
async def own(tmp_path: Path, kubectl: str) -> AsyncIterator[Instance]:
    """An instance that this test may destroy."""
    instance = Instance(tmp_path / "state", free_port())
    try:
        up = ("up", "--strict", "--port", str(instance.port))
        await asyncio.to_thread(instance.tidegate, *up, timeout_s=UP_TIMEOUT_S)
        async with Client(connect.load(instance.kubeconfig), user_agent="e2e") as instance.client:
            yield instance
    finally:
        await asyncio.to_thread(instance.tidegate, "down", timeout_s=UP_TIMEOUT_S)


async def kubectl_at(own: Instance, *arguments: str) -> str:
    return await own.command("kubectl", *arguments, timeout_s=150)


async def left(own: Instance) -> list[str]:
    """Return what bears Tidegate's names, of all kinds there are."""
    wide = await kubectl_at(own, "get", CLUSTER_WIDE, "-o", "name")
    found = [line for line in wide.splitlines() if any(group in line for group in GROUPS)]
    listed = json.loads(await kubectl_at(own, "get", ELSEWHERE, "-A", "-o", "json"))["items"]
    of_pods = [
        f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in listed
        if one["metadata"]["namespace"] == names.SYSTEM_NAMESPACE
        or any(group in label for label in one["metadata"].get("labels") or {} for group in GROUPS)
    ]
    return found + of_pods


async def use(own: Instance, document: Path) -> None:
    """Have a service that answers, and a domain for it."""
    await own.apply(example("hello", service="alone", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    mapping = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": "alone.example.org", "namespace": "default"},
        "spec": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "alone"}},
    }
    document.write_text(json.dumps(mapping))
    await kubectl_at(own, "apply", "-f", str(document))
    await own.wait_service_ready("alone")
    assert (await load.get(own.port, "alone.default.localhost")).status == 200


async def is_empty(own: Instance) -> bool:
    return not await left(own)


@pytest.mark.timeout(600)
async def test_nothing_is_left_and_all_of_it_can_come_again(own: Instance, tmp_path: Path) -> None:
    """First as people do it who did not read on, all at once; then installed again, and away as documented."""
    everything = ("delete", "--ignore-not-found", "-k", OVERLAY, "--timeout=120s")
    await use(own, tmp_path / "mapping.json")
    await kubectl_at(own, *everything)
    await _is_empty_soon(own)

    await asyncio.to_thread(own.tidegate, "up", "--port", str(own.port), timeout_s=UP_TIMEOUT_S)
    await use(own, tmp_path / "mapping.json")
    for kind in ("services.serving.knative.dev", "domainmappings.serving.knative.dev"):
        await kubectl_at(own, "delete", kind, "--all", "--all-namespaces", "--timeout=120s")
    await kubectl_at(own, *everything)
    await _is_empty_soon(own)


async def _is_empty_soon(own: Instance) -> None:
    with contextlib.suppress(TimeoutError):
        await eventually(lambda: is_empty(own), 90, "nothing is left", poll_s=0.3)
    assert await left(own) == []
