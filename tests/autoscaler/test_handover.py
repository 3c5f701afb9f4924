"""Revisions of class hpa on a scripted API server: what is written, what is taken back."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from autoscaler.handover import Handover
from tests.support.fake_api import FakeApi
from tests.support.turning import KEY, System, put_autoscaler, put_revision
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import ApiError
from tidegate.process import tasks

HPA = "hpa.autoscaling.knative.dev"


@contextlib.asynccontextmanager
async def running(api: FakeApi):
    system = System(api)
    handover = Handover(api, system.world, lambda: 1_800_000_000.0)
    system.loop.hand_over = handover.changed
    caches = [tasks.spawn(cache.run(), "cache") for cache in (*system.world.caches, handover.cache)]
    try:
        async with asyncio.timeout(60):
            for cache in (*system.world.caches, handover.cache):
                await cache.wait_synced(20)
            await system.settle()
            yield system
    finally:
        await handover.close()
        await tasks.cancel(*caches)


def horizontal(api: FakeApi):
    return api.peek(resources.HORIZONTAL_POD_AUTOSCALERS, KEY[1], KEY[0])


async def test_it_is_made_and_the_revision_counts_as_active():
    api = FakeApi()
    put_revision(api, replicas=2, **{"class": HPA, "target": "80", "max-scale": "7"})
    async with running(api) as system:
        assert horizontal(api)["spec"]["maxReplicas"] == 7
        assert KEY not in system.loop.slots
        status = system.autoscaler["status"]
        assert (status["desiredScale"], status["servingMode"]) == (2, "Serve")
        assert all(one["status"] == "True" for one in status["conditions"])
        system.pods(2)
        await system.settle()
        assert system.autoscaler["status"]["actualScale"] == 2
        await system.seconds(4)
        assert system.replicas == 2
        assert system.patches("horizontalpodautoscalers") == 1


async def test_new_settings_reach_it():
    api = FakeApi()
    put_revision(api, replicas=1, **{"class": HPA})
    async with running(api) as system:
        put_autoscaler(api, **{"class": HPA, "min-scale": "3"})
        await system.settle()
        assert horizontal(api)["spec"]["minReplicas"] == 3


async def test_it_goes_when_the_class_changes():
    api = FakeApi()
    put_revision(api, replicas=1, **{"class": HPA})
    async with running(api) as system:
        assert horizontal(api) is not None
        put_autoscaler(api)
        await system.settle()
        assert horizontal(api) is None
        assert KEY in system.loop.slots


async def test_one_that_is_not_ours_stays():
    api = FakeApi()
    put_revision(api, replicas=1)
    foreign = {"metadata": {"name": KEY[1], "namespace": KEY[0], "labels": {names.REVISION_LABEL: KEY[1]}}, "spec": {}}
    api.put(resources.HORIZONTAL_POD_AUTOSCALERS, foreign)
    async with running(api) as system:
        await system.settle()
        assert horizontal(api) is not None


@pytest.mark.looptime
async def test_a_failed_write_is_tried_again():
    api = FakeApi()
    put_revision(api, replicas=1, **{"class": HPA})
    api.refuse("patch", resources.HORIZONTAL_POD_AUTOSCALERS, ApiError(500, "InternalError", "no"), times=2)
    async with running(api):
        await asyncio.sleep(5)
        assert horizontal(api) is not None
