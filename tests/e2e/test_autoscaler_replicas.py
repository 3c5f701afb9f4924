"""Two autoscalers share the revisions; one is killed -9: the other takes over in time, and takes nothing away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest import chapters, load, tools
from loadtest.instance import Instance, eventually, example, is_leaving, is_ready
from tidegate.contracts import buckets, names
from tidegate.kube import resources

COUNT = buckets.COUNT_DEFAULT
TAKEOVER_S = 10.0
LABEL = "app.kubernetes.io/component=autoscaler"
TARGETS = {"target": "1", "target-utilization-percentage": "100", "window": "6s"}


async def holders(instance: Instance) -> dict[int, str]:
    """Return who holds each bucket."""
    page = await instance.client.list(resources.LEASES, names.SYSTEM_NAMESPACE)
    return {
        int(lease["metadata"]["name"].split("-")[2]): lease["spec"].get("holderIdentity", "")
        for lease in page.items
        if lease["metadata"]["name"].startswith("autoscaler-bucket-")
    }


async def living_pods(instance: Instance) -> dict[str, str]:
    """Return the ready autoscaler pods and their addresses."""
    pods = (await instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, LABEL)).items
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if is_ready(pod) and not is_leaving(pod)}


def pid_at(address: str, port: int) -> int:
    """Return the process that listens on an address."""
    wanted = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(words[9] for words in lines if words[1] == wanted and words[3] == "0A")
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if any(str(entry.readlink()) == f"socket:[{inode}]" for entry in (process / "fd").iterdir()):
                    return int(process.name)
    raise LookupError(f"nobody listens on {address}:{port}")


async def scale(instance: Instance, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await instance.client.patch(resources.DEPLOYMENTS, "autoscaler", patch, names.SYSTEM_NAMESPACE, subresource="scale")


@contextlib.asynccontextmanager
async def two_autoscalers(instance: Instance) -> AsyncIterator[None]:
    await scale(instance, 2)
    try:

        async def is_shared() -> bool:
            held = await holders(instance)
            return len(held) == COUNT and len(set(held.values())) == 2 and "" not in held.values()

        await eventually(is_shared, 60, "both replicas hold buckets", poll_s=0.2)
        yield
    finally:
        await scale(instance, 1)

        async def is_alone() -> bool:
            pods, held = await living_pods(instance), await holders(instance)
            return len(pods) == 1 and {buckets.pod_in(holder) for holder in held.values()} == set(pods)

        await eventually(is_alone, 60, "one replica holds all buckets", poll_s=0.2)
        await eventually(lambda: chapters.all_ready(instance), 40, "all components are ready")


async def deploy(instance: Instance, name: str) -> tuple[str, int]:
    """Deploy a service; returns its revision and bucket."""
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in TARGETS.items()}
    await tools.apply(instance, example("autoscale", service=name, annotations=annotations))
    await tools.wait_ready(instance, name)
    revision = await instance.revision_of(name)
    return revision, buckets.bucket_of("default", revision, COUNT)


@pytest.mark.timeout(300)
async def test_a_killed_replica_is_replaced_in_time_and_nothing_is_taken_away(instance: Instance) -> None:
    loaded, bucket = await deploy(instance, "loaded")
    asleep, asleep_bucket = await deploy(instance, "asleep")
    async with two_autoscalers(instance):
        await instance.wait_zero(asleep)
        loading = asyncio.ensure_future(
            load.steady(instance.port, "loaded.default.localhost", "/?sleep=100", connections=3, seconds=60)
        )

        async def has_three() -> bool:
            return await instance.ready_pods(loaded) >= 3

        await eventually(has_three, 30, "three pods for three requests in flight", poll_s=0.2)
        await asyncio.sleep(8)
        owner = (await holders(instance))[bucket]
        pod, pods = buckets.pod_in(owner), await living_pods(instance)
        before = await instance.ready_pods(loaded)
        os.kill(pid_at(pods[pod], names.REPORT_PORT), signal.SIGKILL)
        # Gone for good: what comes back is another pod, which is nobody's successor.
        await instance.client.delete(resources.PODS, pod, names.SYSTEM_NAMESPACE, grace_s=0)
        killed_at = time.monotonic()

        async def is_taken_over() -> bool:
            held = await holders(instance)
            return not any(buckets.pod_in(holder) == pod for holder in held.values())

        lowest = before

        async def watch() -> bool:
            nonlocal lowest
            lowest = min(lowest, await instance.ready_pods(loaded))
            return await is_taken_over()

        await eventually(watch, TAKEOVER_S + 5, "all buckets have a living holder", poll_s=0.1)
        assert time.monotonic() - killed_at <= TAKEOVER_S
        # A revision at zero wakes, whoever has it now.
        reply = await load.get(instance.port, "asleep.default.localhost")
        assert reply.status == 200, (reply, asleep_bucket, bucket)
        while not loading.done():
            lowest = min(lowest, await instance.ready_pods(loaded))
            await asyncio.sleep(0.2)
        run = await loading
        assert run.lost == 0, run.statuses
        assert lowest >= before, (before, lowest)
        # And it still scales down, once a whole window was seen.
        await instance.wait_zero(loaded, 60)
