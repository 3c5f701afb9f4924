"""Scaling under real load: the worked examples of the algorithm, bursts at zero, and nothing lost on the way."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from loadtest import load, tools
from loadtest.instance import Instance, eventually, example
from tests.support.held import held

SHORT = {"autoscaling.knative.dev/window": "6s"}
IN_FLIGHT = 5
STAYS_S = 8.0
SAMPLE_S = 0.5

# Five requests in flight: pods = ceil(5 / (target x utilization)).
WORKED = [
    ("target 1 at 100 %", {"target": "1", "target-utilization-percentage": "100"}, 5),
    ("target 5 at 100 %", {"target": "5", "target-utilization-percentage": "100"}, 1),
    ("target 1 at the default 70 %", {"target": "1"}, 8),
    ("target 5 at the default 70 %", {"target": "5"}, 2),
]


async def deploy(instance: Instance, name: str, of: str, annotations: dict[str, str]) -> str:
    await tools.apply(instance, example(of, service=name, annotations=annotations))
    await tools.wait_ready(instance, name)
    return await instance.revision_of(name)


@pytest.mark.parametrize(("title", "targets", "pods"), WORKED, ids=[title for title, _, _ in WORKED])
async def test_worked_examples(instance: Instance, title: str, targets: dict[str, str], pods: int) -> None:
    name = "worked-" + "-".join(targets.values())
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in targets.items()}
    revision = await deploy(instance, name, "echo", annotations | SHORT)

    async def is_there() -> bool:
        return await instance.ready_pods(revision) == pods

    async with held(instance.port, f"{name}.default.localhost", IN_FLIGHT):
        await eventually(is_there, 90, f"{title}: {pods} pods", poll_s=0.2)
        # And there it stays, once a whole window has nothing else in it.
        samples: list[int] = []
        while len(samples) * SAMPLE_S < STAYS_S:
            await asyncio.sleep(SAMPLE_S)
            samples.append(await instance.ready_pods(revision))
    assert set(samples) == {pods}, samples


async def test_no_request_is_lost_from_zero_to_n_to_zero(instance: Instance) -> None:
    targets = {"target": "1", "target-utilization-percentage": "100", "window": "6s"}
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in targets.items()}
    revision = await deploy(instance, "lossless", "autoscale", annotations)
    for connections in (4, 1, 6):
        await instance.wait_zero(revision)
        statuses = await tools.hey(
            instance, "lossless.default.localhost", "/?sleep=50", connections=connections, seconds=8
        )
        assert set(statuses) == {200}, statuses
        # Single requests keep coming while the pods of the burst go away.
        for _ in range(30):
            assert (await load.get(instance.port, "lossless.default.localhost", "/?sleep=5")).status == 200
            await asyncio.sleep(0.1)


async def test_a_burst_of_fifty_at_zero_is_answered_in_full(instance: Instance) -> None:
    revision = await deploy(instance, "fifty", "hello", SHORT)
    await instance.wait_zero(revision)
    replies = await load.burst(instance.port, "fifty.default.localhost", requests=50)
    assert Counter(reply.status for reply in replies) == {200: 50}


async def test_max_scale_is_kept_and_a_concurrency_of_one_is_exact(instance: Instance) -> None:
    document = example("autoscale", service="capped", annotations={"autoscaling.knative.dev/max-scale": "2", **SHORT})
    document["spec"]["template"]["spec"]["containerConcurrency"] = 1
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "capped")
    revision = await instance.revision_of("capped")
    loading = asyncio.ensure_future(
        load.steady(instance.port, "capped.default.localhost", "/?sleep=50", connections=8, seconds=6)
    )
    most = 0
    while not loading.done():
        most = max(most, await instance.ready_pods(revision))
        await asyncio.sleep(0.2)
    run = await loading
    assert run.lost == 0, run.statuses
    assert most <= 2
    # Two pods, one at a time each, 50 ms: no more than 40 a second can have been answered.
    assert sum(run.statuses.values()) <= 2 * 20 * 6 * 1.2 + 10
