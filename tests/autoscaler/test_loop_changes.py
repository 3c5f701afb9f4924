"""What changes while turns are taken: objects, settings, shares, schedules, and an API server that does not answer."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fake_api import FakeApi
from tests.support.turning import KEY, inactive, put_autoscaler, put_revision, put_settings, running
from tidegate.contracts import names
from tidegate.contracts.decision import Because
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable


async def test_a_failed_patch_is_tried_again_with_growing_pauses(caplog):
    api = FakeApi()
    put_revision(api, status=inactive())
    api.refuse("patch", resources.DEPLOYMENTS, Unreachable("connection refused"), times=2)
    async with running(api) as system:
        system.poke(1)
        while system.replicas != 1:
            await asyncio.sleep(0.01)
        assert system.loop.publisher.failures == 2
        assert "next try in 0.1 s" in caplog.text
        assert "next try in 0.2 s" in caplog.text


async def test_a_deployment_that_is_not_there_yet_is_waited_for():
    api = FakeApi()
    put_autoscaler(api, min_scale="2")
    async with running(api) as system:
        await system.seconds(4)
        assert system.autoscaler["status"]["desiredScale"] == 2
        put_revision(api, replicas=1, min_scale="2")
        await system.settle()
        assert system.replicas == 2


async def test_a_patch_on_something_gone_is_no_failure():
    api = FakeApi()
    put_revision(api, status=inactive())
    api.refuse("patch", resources.DEPLOYMENTS, ApiError(404, "NotFound", "gone"))
    async with running(api) as system:
        system.poke(1)
        await system.settle()
        assert system.replicas == 0
        await system.seconds(4)
        assert system.replicas == 1
        assert system.loop.publisher.failures == 0


async def test_annotations_apply_live():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(2, 0.0)
        put_autoscaler(api, system.autoscaler["status"], min_scale="3")
        await system.settle()
        assert system.replicas == 3
        assert system.latest().because is Because.MIN_SCALE


async def test_settings_apply_live():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(2, 0.0)
        put_settings(api, min_scale="2")
        await system.settle()
        assert system.replicas == 2


async def test_other_classes_are_left_alone():
    api = FakeApi()
    put_revision(api, replicas=1, **{"class": "hpa.autoscaling.knative.dev", "min_scale": "5"})
    async with running(api) as system:
        await system.seconds(4)
        assert KEY not in system.loop.slots
        assert system.replicas == 1
        put_autoscaler(api, min_scale="5")
        await system.settle()
        assert system.replicas == 5


async def test_a_deleted_revision_leaves_nothing_behind():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        await system.seconds(2)
        api._remove((resources.POD_AUTOSCALERS, "default", "hello-00001"))
        await system.settle()
        assert not system.loop.slots
        assert not system.demand._slots
        await system.seconds(2)


async def test_a_revision_of_the_same_name_starts_anew():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        await system.settle()
        assert system.loop.fleet.memory(system.loop.slots[KEY]).is_initialized
        api._remove((resources.PODS, "default", "pod-0"))
        put_autoscaler(api, uid="another")
        await system.settle()
        assert not system.loop.fleet.memory(system.loop.slots[KEY]).is_initialized


async def test_what_another_replica_decides_is_left_and_taken_over_without_scaling_down():
    api = FakeApi()
    active = inactive(desiredScale=3, actualScale=3, servingMode="Serve")
    active["conditions"][0]["status"] = "True"
    put_revision(api, replicas=3, status=active)
    async with running(api) as system:
        system.pods(3)
        system.loop.is_ours = lambda _key: False
        system.loop.shares_changed()
        await system.settle()
        assert not system.loop.slots
        system.loop.is_ours = lambda _key: True
        system.loop.shares_changed()
        await system.settle()
        system.connect()
        await system.seconds(20, 0.0)
        assert system.replicas == 3
        assert system.latest().because is Because.WINDOW_NOT_FULL


async def test_a_change_of_settings_for_very_many_waits_for_the_turn_of_all(monkeypatch):
    monkeypatch.setattr("autoscaler.loop.DIRTY_LIMIT", 0)
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(2, 0.0)
        put_settings(api, min_scale="2")
        await system.settle()
        assert system.replicas == 1
        await system.seconds(2, 0.0)
        assert system.replicas == 2


async def test_while_its_lease_may_be_lost_it_decides_nothing():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        system.loop.may_decide = lambda: False
        before = system.loop.counts.total()
        system.poke(1)
        put_autoscaler(api, inactive(), min_scale="3")
        await system.seconds(10)
        assert system.loop.counts.total() == before
        assert system.replicas == 0
        system.loop.may_decide = lambda: True
        await system.seconds(2)
        assert system.replicas == 3


async def test_settings_that_cannot_be_used_are_told_and_the_last_good_ones_stay():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        put_settings(api, min_scale="2")
        await system.settle()
        put_settings(api, min_scale="3", stable_window="1s")
        await system.settle()
        assert system.replicas == 2
        (event,) = [one for one in api.all(resources.EVENTS) if one["reason"] == "InvalidConfiguration"]
        assert event["type"] == "Warning"
        assert "stable-window" in event["message"]
        assert event["involvedObject"]["name"] == names.CONFIG_AUTOSCALER


async def test_a_schedule_is_followed_by_the_clock():
    """The clock of people says 08:16:40 UTC at 1000.5 of ours."""
    api = FakeApi()
    put_revision(api)
    schedule = '[{"start": "18 8 * * *", "end": "19 8 * * *", "min-scale": 2}]'
    api.peek(resources.POD_AUTOSCALERS, KEY[1], KEY[0])["metadata"]["annotations"]["tidegate.dev/schedule"] = schedule
    async with running(api) as system:
        await system.seconds(70)
        assert system.replicas == 0
        await system.seconds(20)
        latest = system.latest()
        assert (system.replicas, latest.because) == (2, Because.SCHEDULE)
        # 90 s later it is 08:18:10.5, and the schedule ends at 08:19:00.
        assert latest.next_change_s == pytest.approx(49.5, abs=1)


async def test_what_becomes_another_s_is_written_no_more():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        api.refuse("patch", resources.DEPLOYMENTS, Unreachable("connection refused"), times=100)
        system.poke(1)
        await system.settle()
        assert system.loop.publisher.is_busy(KEY)
        system.loop.is_ours = lambda _key: False
        system.loop.shares_changed()
        await system.settle()
        assert not system.loop.slots
        assert not system.loop.publisher.is_busy(KEY)
        assert system.loop.history.of(KEY) == []
