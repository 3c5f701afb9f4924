"""The live cluster does what the simulator says: hey's ramp 0 → 1 → 10 → 1 → 0 within one pod and two ticks."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest

from loadtest import distributions, tools
from loadtest.instance import Instance, example
from loadtest.simulate import predict
from loadtest.simulate.app import App
from loadtest.simulate.predict import Client, Sample, Step
from tidegate.contracts.autoscaling import parse_config

NAME = "ramp"
TARGETS = {"target": "1", "target-utilization-percentage": "100", "window": "6s"}
ANNOTATIONS = {f"autoscaling.knative.dev/{key}": value for key, value in TARGETS.items()}
LOADED = [Step(1, 10), Step(10, 14), Step(1, 16)]
RAMP = [*LOADED, Step(0, 20)]
START = distributions.parse("500ms")
SAMPLE_S = 0.25


@pytest.mark.skipif(not shutil.which("hey"), reason="hey is not installed")
async def test_a_ramp_follows_the_prediction(instance: Instance) -> None:
    await tools.apply(instance, example("autoscale", service=NAME, annotations=ANNOTATIONS))
    await tools.wait_ready(instance, NAME)
    revision = await instance.revision_of(NAME)
    await instance.wait_zero(revision)
    measured: list[Sample] = []
    began = time.monotonic()
    sampling = asyncio.ensure_future(sample(instance, revision, began, measured))
    lost = 0
    for step in LOADED:
        host = f"{NAME}.default.localhost"
        statuses = await tools.hey(instance, host, "/?sleep=100", connections=step.connections, seconds=int(step.for_s))
        lost += sum(count for status, count in statuses.items() if status != 200)
    await sampling
    # The config of the instance, as the fixture sets it.
    config = parse_config({"scale-to-zero-grace-period": "1s"})
    predicted = predict.predict(
        RAMP, App(annotations=ANNOTATIONS, config=config), start=START, client=Client(service_s=0.1)
    )
    story = f"measured {shortened(measured)}\npredicted {shortened(predicted)}"
    assert lost == 0
    assert predict.outside(measured, predicted) == [], story
    assert predict.outside(predicted, measured) == [], story
    assert max(one.ready for one in measured) >= 9, story
    assert measured[-1].ready == 0, story


async def sample(instance: Instance, revision: str, began: float, found: list[Sample]) -> None:
    end_s = sum(step.for_s for step in RAMP)
    while (at_s := time.monotonic() - began) < end_s:
        ready = await instance.ready_pods(revision)
        found.append(Sample(at_s, ready))
        await asyncio.sleep(SAMPLE_S)


def shortened(samples: list[Sample]) -> str:
    """Return only the moments at which the number changed."""
    changes = [
        one
        for before, one in zip([None, *samples], samples, strict=False)
        if before is None or before.ready != one.ready
    ]
    return " ".join(f"{one.at_s:.1f}s:{one.ready}" for one in changes)
