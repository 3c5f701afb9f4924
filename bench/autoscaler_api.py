"""Cold starts with the local API server in its own process: what the autoscaler's part is worth when writes are real.

Every scale patch is an HTTPS request that the server checks and stores on disk. No controller and no node runs, so that
nothing but the patches is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench import autoscaler_world, processes
from bench.autoscaler_world import NAMESPACE, Autoscaler
from loadtest.figures import ROOT
from tidegate.contracts import names
from tidegate.kube import connect, resources
from tidegate.kube.api import Object
from tidegate.kube.client import Client, wait_ready

AT_ONCE = 16
READY_S = 60.0
PATIENCE_S = 120.0


async def cold_starts_with_server(count: int) -> dict[str, float]:
    """First reports of `count` revisions at once: scales stored per second."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = processes.free_port()
        command = [sys.executable, "-m", "cluster.api", "--state", str(folder), "--port", str(port)]
        stack.enter_context(processes.running([*command, "--controllers", "false"], port))
        async with Client(connect.load(folder / "kubeconfig"), user_agent="bench") as client:
            await wait_ready(client, READY_S)
            await _fill(client, count)
            return await _wake_all(client, count)


async def _fill(client: Client, count: int) -> None:
    crd = yaml.safe_load((ROOT / "manifests/base/crds/podautoscaler.yaml").read_text())
    await client.create(resources.CUSTOM_RESOURCE_DEFINITIONS, crd)
    slots = asyncio.Semaphore(AT_ONCE)

    async def put(number: int) -> None:
        async with slots:
            await client.create(resources.DEPLOYMENTS, _fresh(autoscaler_world.deployment(number, 0)))
            wanted = autoscaler_world.autoscaler(number, 0)
            made = await client.create(resources.POD_AUTOSCALERS, _fresh(wanted))
            await client.replace(resources.POD_AUTOSCALERS, made | {"status": wanted["status"]}, subresource="status")

    await asyncio.gather(*(put(number) for number in range(count)))


def _fresh(obj: Object) -> Object:
    """Return an object as a client creates it."""
    metadata = {name: obj["metadata"][name] for name in ("name", "namespace", "labels")}
    if "annotations" in obj["metadata"]:
        metadata["annotations"] = obj["metadata"]["annotations"]
    return {name: value for name, value in obj.items() if name != "status"} | {"metadata": metadata}


async def _wake_all(client: Client, count: int) -> dict[str, float]:
    system = Autoscaler(client)
    await system.start()
    activator = system.activator()
    began = time.perf_counter()
    for number in range(count):
        activator.data_received(system.poke(number))
    async with asyncio.timeout(PATIENCE_S):
        wanted = {names.deployment_name(autoscaler_world.revision(number)) for number in range(count)}
        deployments = system.world.deployments
        while wanted:
            wanted = {name for name in wanted if not deployments.objects[NAMESPACE, name]["spec"].get("replicas")}
            await asyncio.sleep(0.01)
    took_s = time.perf_counter() - began
    await system.stop()
    return {"patched_per_s": count / took_s}
