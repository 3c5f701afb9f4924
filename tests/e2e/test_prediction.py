"""The live cluster does what the simulator says: hey's ramp 0 → 1 → 10 → 1 → 0 within one pod and two ticks.

What the machine was late by is measured beside it and allowed for: how long hey really ran, how long nobody could look
at the pods or got an answer of the autoscaler, how long pods took to get ready.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass, field

import pytest

from loadtest import distributions, tools
from loadtest.instance import Instance, example, is_leaving, is_ready
from loadtest.simulate import predict
from loadtest.simulate.app import App
from loadtest.simulate.predict import Client, Sample, Step
from tidegate.contracts.autoscaling import parse_config

NAME = "ramp"
TARGETS = {"target": "1", "target-utilization-percentage": "100", "window": "6s"}
ANNOTATIONS = {f"autoscaling.knative.dev/{key}": value for key, value in TARGETS.items()}
LOADED = [Step(1, 10), Step(10, 14), Step(1, 16)]
IDLE_S = 20.0
START = distributions.parse("500ms")
SAMPLE_S = 0.25


@pytest.mark.skipif(not shutil.which("hey"), reason="hey is not installed")
async def test_a_ramp_follows_the_prediction(instance: Instance) -> None:
    await tools.apply(instance, example("autoscale", service=NAME, annotations=ANNOTATIONS))
    await tools.wait_ready(instance, NAME)
    revision = await instance.revision_of(NAME)
    await instance.wait_zero(revision)
    seen = Seen(time.monotonic())
    sampling = asyncio.ensure_future(sample(instance, revision, seen))
    timeline: list[Step] = []
    lost = 0
    for step in LOADED:
        began = time.monotonic()
        host = f"{NAME}.default.localhost"
        statuses = await tools.hey(instance, host, "/?sleep=100", connections=step.connections, seconds=int(step.for_s))
        timeline.append(Step(step.connections, time.monotonic() - began))
        lost += sum(count for status, count in statuses.items() if status != 200)
    await asyncio.sleep(IDLE_S)
    seen.ended.set()
    await sampling
    # The config of the instance, as the fixture sets it.
    config = parse_config({"scale-to-zero-grace-period": "1s"})
    predicted = predict.predict(
        [*timeline, Step(0, IDLE_S)],
        App(annotations=ANNOTATIONS, config=config),
        start=START,
        client=Client(service_s=0.1),
    )
    story = f"late by {seen.late_s:.1f} s, measured {shortened(seen.found)}\npredicted {shortened(predicted)}"
    assert lost == 0
    ticks = 2.0 + seen.late_s / predict.TICK_S
    assert predict.outside(seen.found, predicted, ticks=ticks) == [], story
    assert predict.outside(predicted, seen.found, ticks=ticks) == [], story
    assert max(one.ready for one in seen.found) >= 9, story
    assert seen.found[-1].ready == 0, story


@dataclass
class Seen:
    """Ready pods since `began`, and the longest times of: nobody looked; pods were there that were not ready."""

    began: float
    found: list[Sample] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    blind_s: float = 0.0
    starting_s: float = 0.0

    @property
    def late_s(self) -> float:
        return self.blind_s + max(0.0, self.starting_s - START.mean_s)


async def sample(instance: Instance, revision: str, seen: Seen) -> None:
    looked = all_ready = time.monotonic()
    while not seen.ended.is_set():
        pods = [pod for pod in await instance.pods_of(revision) if not is_leaving(pod)]
        await instance.admin("autoscaler", f"/decisions/default/{revision}")
        now, ready = time.monotonic(), sum(map(is_ready, pods))
        seen.found.append(Sample(now - seen.began, ready))
        seen.blind_s = max(seen.blind_s, now - looked - SAMPLE_S)
        seen.starting_s = max(seen.starting_s, now - all_ready)
        looked, all_ready = now, now if ready == len(pods) else all_ready
        await asyncio.sleep(SAMPLE_S)


def shortened(samples: list[Sample]) -> str:
    """Return only the moments at which the number changed."""
    changes = [
        one
        for before, one in zip([None, *samples], samples, strict=False)
        if before is None or before.ready != one.ready
    ]
    return " ".join(f"{one.at_s:.1f}s:{one.ready}" for one in changes)
