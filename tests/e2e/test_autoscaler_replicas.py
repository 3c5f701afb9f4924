"""Two autoscalers share the revisions; one is killed -9: the other takes over, and takes nothing away.

How soon it does is a matter of tests/autoscaler, where no machine is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest import chapters, load, tools
from loadtest.instance import Instance, eventually, example, is_leaving, is_ready
from tests.support.held import held
from tidegate.contracts import buckets, names
from tidegate.kube import resources

COUNT = buckets.COUNT_DEFAULT
HELD = 3
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

        await eventually(is_shared, 90, "both replicas hold buckets", poll_s=0.2)
        yield
    finally:
        await scale(instance, 1)

        async def is_alone() -> bool:
            pods, held = await living_pods(instance), await holders(instance)
            return len(pods) == 1 and {buckets.pod_in(holder) for holder in held.values()} == set(pods)

        await eventually(is_alone, 90, "one replica holds all buckets", poll_s=0.2)
        await eventually(lambda: chapters.all_ready(instance), 90, "all components are ready")


async def deploy(instance: Instance, name: str, of: str) -> tuple[str, int]:
    """Deploy a service; returns its revision and bucket."""
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in TARGETS.items()}
    await tools.apply(instance, example(of, service=name, annotations=annotations))
    await tools.wait_ready(instance, name)
    revision = await instance.revision_of(name)
    return revision, buckets.bucket_of("default", revision, COUNT)


async def ask_until(ended: asyncio.Event, instance: Instance, host: str) -> Counter[int]:
    """Send one short request after another; returns the answers by status."""
    statuses: Counter[int] = Counter()
    connection = load.Connection("127.0.0.1", instance.port)
    while not ended.is_set():
        statuses[(await connection.request(host)).status] += 1
        await asyncio.sleep(0.05)
    await connection.close()
    return statuses


@pytest.mark.timeout(400)
async def test_a_killed_replica_is_replaced_and_nothing_is_taken_away(instance: Instance) -> None:
    host = "loaded.default.localhost"
    loaded, bucket = await deploy(instance, "loaded", "echo")
    asleep, asleep_bucket = await deploy(instance, "asleep", "hello")
    async with two_autoscalers(instance):
        await instance.wait_zero(asleep)
        ended = asyncio.Event()
        # One more request comes and goes beside those that are held: at least so many pods are needed all the time.
        async with held(instance.port, host, HELD), asyncio.TaskGroup() as group:
            asking = group.create_task(ask_until(ended, instance, host))
            try:
                lowest = await killed_and_taken_over(instance, loaded, bucket)
                # A revision at zero wakes, whoever has it now.
                reply = await load.get(instance.port, "asleep.default.localhost")
                lowest = min(lowest, await lowest_in_a_while(instance, loaded))
            finally:
                ended.set()
        assert reply.status == 200, (reply, asleep_bucket, bucket)
        assert set(asking.result()) == {200}, asking.result()
        assert lowest >= HELD
        # And it still scales down, once a whole window was seen.
        await instance.wait_zero(loaded)


async def killed_and_taken_over(instance: Instance, loaded: str, bucket: int) -> int:
    """Kill the replica that decides for `loaded` once that has its pods; return the fewest that it had until all
    buckets have a living holder."""

    async def has_its_pods() -> bool:
        return await instance.ready_pods(loaded) >= HELD

    await eventually(has_its_pods, 90, "a pod for each request in flight", poll_s=0.2)
    await asyncio.sleep(8)
    pod, pods = buckets.pod_in((await holders(instance))[bucket]), await living_pods(instance)
    os.kill(pid_at(pods[pod], names.REPORT_PORT), signal.SIGKILL)
    # Gone for good: what comes back is another pod, which is nobody's successor.
    await instance.client.delete(resources.PODS, pod, names.SYSTEM_NAMESPACE, grace_s=0)
    lowest = await instance.ready_pods(loaded)

    async def is_taken_over() -> bool:
        nonlocal lowest
        lowest = min(lowest, await instance.ready_pods(loaded))
        return not any(buckets.pod_in(holder) == pod for holder in (await holders(instance)).values())

    await eventually(is_taken_over, 60, "all buckets have a living holder", poll_s=0.1)
    return lowest


async def lowest_in_a_while(instance: Instance, revision: str) -> int:
    """Return the fewest pods in two windows."""
    counts = []
    for _ in range(60):
        counts.append(await instance.ready_pods(revision))
        await asyncio.sleep(0.2)
    return min(counts)
