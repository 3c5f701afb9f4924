"""What the autoscaler sees: pods as numbers, settings that apply live, the report key."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import pytest

from autoscaler.pods import PodCounts, PodState, pod_state
from autoscaler.watch import World
from tests.support.fake_api import FakeApi
from tidegate.contracts import names
from tidegate.contracts.autoscaling import DEFAULTS
from tidegate.kube import resources
from tidegate.process import tasks

KEY = ("default", "hello-00001")


def pod(name, phase="Running", ready=True, deleted=False, revision="hello-00001"):
    metadata = {"name": name, "namespace": "default", "labels": {names.REVISION_LABEL: revision}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "status": {"phase": phase, "conditions": conditions}}


def config_map(**data):
    return {
        "metadata": {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE},
        "data": {key.replace("_", "-"): value for key, value in data.items()},
    }


def secret(text):
    return {
        "metadata": {"name": names.REPORT_KEY_SECRET, "namespace": names.SYSTEM_NAMESPACE},
        "data": {"key": base64.b64encode(text.encode()).decode()},
    }


@contextlib.asynccontextmanager
async def watching(api):
    world = World(api)
    seen: list[tuple[str, str]] = []
    world.on_pods = seen.append
    running = [tasks.spawn(cache.run(), "cache") for cache in world.caches]
    try:
        async with asyncio.timeout(20):
            for cache in world.caches:
                await cache.wait_synced(20)
        assert world.is_synced
        yield world, seen
    finally:
        await tasks.cancel(*running)


async def settle(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pod("a"), PodState.READY),
        (pod("a", ready=False), PodState.NOT_READY),
        (pod("a", phase="Pending", ready=False), PodState.PENDING),
        (pod("a", deleted=True), PodState.TERMINATING),
        (pod("a", phase="Pending", deleted=True), PodState.TERMINATING),
        (pod("a", phase="Failed"), PodState.ENDED),
        (pod("a", phase="Succeeded", deleted=True), PodState.ENDED),
        ({"metadata": {"name": "new"}}, PodState.PENDING),
    ],
)
def test_what_a_pod_counts_as(one, expected):
    assert pod_state(one) is expected


async def test_pods_are_counted_by_revision():
    api = FakeApi()
    for one in (pod("a"), pod("b"), pod("c", ready=False), pod("d", "Pending", ready=False), pod("e", deleted=True)):
        api.put(resources.PODS, one)
    api.put(resources.PODS, pod("f", revision="other-00001"))
    async with watching(api) as (world, _seen):
        assert world.pods(KEY) == PodCounts(ready=2, not_ready=2)
        assert world.pods(("default", "other-00001")) == PodCounts(ready=1)
        assert world.pods(("default", "nobody")) == PodCounts()


async def test_a_change_of_readiness_is_told_once():
    api = FakeApi()
    api.put(resources.PODS, pod("a", ready=False))
    async with watching(api) as (world, seen):
        seen.clear()
        api.put(resources.PODS, {**pod("a", ready=False), "spec": {"anything": "else"}})
        api.put(resources.PODS, pod("a"))
        await settle(lambda: world.pods(KEY).ready == 1)
        assert seen == [KEY]
        api._remove((resources.PODS, "default", "a"))
        await settle(lambda: world.pods(KEY) == PodCounts())
        assert seen == [KEY, KEY]


async def test_settings_apply_live_and_bad_ones_are_refused_whole(caplog):
    api = FakeApi()
    async with watching(api) as (world, _seen):
        changes = []
        world.on_config = lambda: changes.append(world.config.stable_window_s)
        assert world.config == DEFAULTS
        api.put(resources.CONFIG_MAPS, config_map(stable_window="20s"))
        await settle(lambda: changes == [20.0])
        api.put(resources.CONFIG_MAPS, config_map(stable_window="1s", initial_scale="3"))
        await settle(lambda: "stable-window" in caplog.text)
        assert world.config.stable_window_s == 20.0
        api._remove((resources.CONFIG_MAPS, names.SYSTEM_NAMESPACE, names.CONFIG_AUTOSCALER))
        await settle(lambda: changes == [20.0, 60.0])


async def test_the_report_key_is_read_and_kept(caplog):
    api = FakeApi()
    async with watching(api) as (world, _seen):
        assert world.report_key is None
        api.put(resources.SECRETS, secret("ab" * 32))
        await settle(lambda: world.report_key == bytes.fromhex("ab" * 32))
        api.put(resources.SECRETS, secret("not hexadecimal"))
        await settle(lambda: caplog.text != "")
        api._remove((resources.SECRETS, names.SYSTEM_NAMESPACE, names.REPORT_KEY_SECRET))
        await asyncio.sleep(0)
        assert world.report_key == bytes.fromhex("ab" * 32)


def autoscaler():
    return {"metadata": {"name": KEY[1], "namespace": KEY[0], "uid": "one"}, "spec": {}}


async def test_start_times_outlive_the_pods_and_go_with_the_revision():
    api = FakeApi()
    api.put(resources.POD_AUTOSCALERS, autoscaler())
    async with watching(api) as (world, _seen):
        world.recall_starts(KEY, (2.5, 3.25))
        assert not world._pods
        assert world.starts_s(KEY) == (2.5, 3.25)
        assert world.pods(KEY) == PodCounts(start_s=2.875)
        assert list(world.with_starts()) == [KEY]
        api.put(resources.PODS, pod("a"))
        await settle(lambda: world.pods(KEY) == PodCounts(ready=1, start_s=2.875))
        world.recall_starts(KEY, (9.0,))
        assert world.starts_s(KEY) == (9.0, 2.5, 3.25)
        api._remove((resources.PODS, "default", "a"))
        await settle(lambda: world.pods(KEY) == PodCounts(start_s=3.25))
        api._remove((resources.POD_AUTOSCALERS, *KEY))
        await settle(lambda: world.autoscaler(KEY) is None)
        assert world.starts_s(KEY) == ()
        assert not world._shelf._rows


async def test_pods_that_outlive_their_revision_are_counted_to_the_end():
    api = FakeApi()
    api.put(resources.POD_AUTOSCALERS, autoscaler())
    api.put(resources.PODS, pod("a"))
    async with watching(api) as (world, _seen):
        api._remove((resources.POD_AUTOSCALERS, *KEY))
        await settle(lambda: world.autoscaler(KEY) is None)
        assert world.pods(KEY) == PodCounts(ready=1)
        api.put(resources.PODS, pod("a", deleted=True))
        await settle(lambda: world.pods(KEY) == PodCounts())
        api._remove((resources.PODS, "default", "a"))
        await settle(lambda: not world._pods)
