"""A thousand Services created one after the other: when is each Ready, and what do all processes weigh then.

They start at zero (initial scale 0), so what is measured is the way from the API server through the controller and the
autoscaler back into the Service's status. A watch tells when each became Ready; nobody polls.
"""

from __future__ import annotations

import asyncio
import sys
import time

from loadtest import load
from loadtest.figures import Bar, Figures, percentile
from loadtest.instance import Instance, example, is_ready
from tidegate.cli import memory
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.process import tasks

LIMIT_S = 25.0
SETTLE_S = 120.0
SAMPLES = 10
PEER = "200 Configurations Ready in 89.7 s (2.2 a second): Knative with a real API server on this class of machine"


async def measure(instance: Instance, services: int, pause_s: float) -> Figures:
    """Create `services` Services, one each `pause_s` seconds, and wait until all are Ready."""
    figures = Figures()
    await instance.configure("config-autoscaler", {"allow-zero-initial-scale": "true"})
    before = _weights(instance)
    ready: dict[str, float] = {}
    changed = asyncio.Event()
    watching = tasks.spawn(_watch(instance, ready, changed), "watch services")
    try:
        created = await _create(instance, services, pause_s, ready)
        all_created = time.monotonic()
        await _wait(ready, services, changed)
    finally:
        await tasks.cancel(watching)
    seconds = [ready[name] - created[name] for name in created if name in ready]
    answered = await _ask(instance, services)
    after = _weights(instance)
    figures.rounds = [{"service": name, "ready_s": round(ready[name] - created[name], 3)} for name in sorted(ready)]
    figures.bars = [
        Bar("scale_ready", len(seconds), "", services, at_least=True),
        Bar("scale_ready_p95", percentile(seconds, 0.95), "s", LIMIT_S),
        Bar("scale_sampled_answers", answered, "", min(SAMPLES, services), at_least=True),
    ]
    figures.notes = {
        "p50_s": round(percentile(seconds, 0.5), 3),
        "slowest_s": round(max(seconds), 3),
        "created_per_s": round(services / (all_created - min(created.values())), 1),
        "peer": PEER,
        "memory_mb": {name: f"{before.get(name, 0):.0f} -> {size:.0f}" for name, size in after.items()},
        "memory_all_mb": f"{sum(before.values()):.0f} -> {sum(after.values()):.0f}",
    }
    return figures


async def _create(instance: Instance, services: int, pause_s: float, ready: dict[str, float]) -> dict[str, float]:
    """Create at a steady pace, however long each creation takes. Returns when each was sent."""
    created: dict[str, float] = {}
    begin = time.monotonic()
    async with asyncio.TaskGroup() as creating:
        for number in range(services):
            name = f"scale-{number:04d}"
            document = example("hello", service=name, annotations={"autoscaling.knative.dev/initial-scale": "0"})
            document["metadata"]["namespace"] = "default"
            await asyncio.sleep(max(0.0, begin + number * pause_s - time.monotonic()))
            created[name] = time.monotonic()
            creating.create_task(instance.client.create(resources.KNATIVE_SERVICES, document))
            if (number + 1) % 100 == 0:
                print(f"created {number + 1}/{services}, ready {len(ready)}", file=sys.stderr, flush=True)
    return created


async def _watch(instance: Instance, ready: dict[str, float], changed: asyncio.Event) -> None:
    since = ""

    def see(service: Object) -> None:
        name = service["metadata"]["name"]
        if name.startswith("scale-") and name not in ready and _is_current(service):
            ready[name] = time.monotonic()
            changed.set()

    while True:
        try:
            page = await instance.client.list(resources.KNATIVE_SERVICES, "default")
            for service in page.items:
                see(service)
            since = page.resource_version
            async for event in instance.client.watch(resources.KNATIVE_SERVICES, "default", since=since):
                if event.type in ("ADDED", "MODIFIED"):
                    see(event.object)
        except ApiError as error:
            print(f"watch: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.2)


def _is_current(service: Object) -> bool:
    status = service.get("status") or {}
    return is_ready(service) and status.get("observedGeneration") == service["metadata"].get("generation")


async def _wait(ready: dict[str, float], services: int, changed: asyncio.Event) -> None:
    deadline = time.monotonic() + SETTLE_S
    while len(ready) < services and time.monotonic() < deadline:
        changed.clear()
        try:
            async with asyncio.timeout(5):
                await changed.wait()
        except TimeoutError:
            print(f"ready {len(ready)}/{services}", file=sys.stderr, flush=True)


async def _ask(instance: Instance, services: int) -> int:
    """Call some of them, first and last included: Ready must mean that a request is answered."""
    chosen = sorted({round(number * (services - 1) / max(1, SAMPLES - 1)) for number in range(SAMPLES)})
    replies = [await load.get(instance.port, f"scale-{number:04d}.default.localhost") for number in chosen]
    return sum(reply.status == 200 for reply in replies)


def _weights(instance: Instance) -> dict[str, float]:
    """Return the proportional memory in MB by component; pods of services together as `services`."""
    found: dict[str, float] = {}
    for process in memory.tree(instance.supervisor_pid()):
        words = process.command.split()
        name = words[words.index("-m") + 1] if "-m" in words[:-1] else words[0] if words else "?"
        name = "services" if name.startswith(("examples", "queueproxy")) else name
        found[name] = found.get(name, 0.0) + process.pss_bytes / 1e6
    return found
