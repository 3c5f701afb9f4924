"""Turns against a scripted API server: what is asked of Deployments, told in the status, and remembered."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from autoscaler.demand import Demand
from autoscaler.history import RING_LENGTH
from autoscaler.loop import Loop
from autoscaler.metrics import Metrics
from autoscaler.pages import decisions_page
from autoscaler.watch import World
from tests.support.fake_api import FakeApi
from tests.support.turning import DEPLOYMENT, KEY, Holders, inactive, put_revision, put_settings, running
from tidegate.contracts import conditions
from tidegate.contracts.decision import Because, Decision
from tidegate.kube import resources
from tidegate.process import tasks


async def test_a_poke_patches_the_scale_before_anything_else():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        await system.seconds(2)
        api.calls.clear()
        system.poke(1)
        await system.settle()
        assert system.replicas == 1
        writes = [(verb, plural) for verb, plural, _name in api.calls if verb in ("patch", "create")]
        assert writes[0] == ("patch", "deployments")
        assert ("patch", "podautoscalers") in writes
        decision = system.loop.history.last(KEY)
        assert system.autoscaler["status"]["desiredScale"] == 1
        assert (conditions.find(system.autoscaler, "Active") or {})["reason"] == "Queued"
        poked = [one for one in system.loop.history.of(KEY) if one.is_poked]
        assert len(poked) == 1
        assert poked[0].because is Because.WAITING_REQUEST
        assert poked[0].patched_unix_s > 0
        assert decision.revision == "hello-00001"
        assert "ScaledUp" in system.events()


async def test_more_pokes_while_a_pod_starts_change_nothing():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        for number in range(5):
            system.poke(number + 1)
            await system.settle()
        assert system.patches("deployments") == 1
        system.loop.poke(("default", "nobody"))


async def test_a_burst_at_zero_gets_its_pods_as_it_grows():
    api = FakeApi()
    put_revision(api, status=inactive(), target="10", target_utilization_percentage="100")
    async with running(api) as system:
        asked = []
        for waiting in (1, 2, 4, 8, 16, 32, 35):
            system.poke(waiting)
            await system.settle()
            asked.append(system.replicas)
        assert asked == [1, 1, 1, 1, 2, 4, 4]
        assert system.patches("deployments") == 3


async def test_a_revision_lives_from_its_first_pod_to_zero_and_back():
    api = FakeApi()
    put_revision(api, replicas=1, target="1", target_utilization_percentage="100", window="6s")
    async with running(api) as system:
        assert system.autoscaler["status"]["desiredScale"] == -1
        assert conditions.find(system.autoscaler)["status"] == "Unknown"
        system.pods(1)
        await system.settle()
        assert conditions.is_ready(system.autoscaler)
        system.connect()
        await system.seconds(6, 5.0)
        assert system.replicas == 5
        system.pods(5)
        await system.seconds(4, 5.0)
        assert system.autoscaler["status"]["actualScale"] == 5
        assert system.autoscaler["status"]["servingMode"] == "Proxy"
        for pods in (5, 2, 1):
            for number in range(pods, 5):
                with contextlib.suppress(KeyError):
                    api._remove((resources.PODS, "default", f"pod-{number}"))
            await system.seconds(16, 0.0)
        assert system.replicas == 0
        assert conditions.find(system.autoscaler, "Active")["reason"] == "NoTraffic"
        assert {"ScaledUp", "ScaledDown", "ScaledToZero", "PanicStarted", "PanicEnded"} <= set(system.events())


async def test_a_wake_without_a_ready_pod_in_time_is_told_as_failed():
    api = FakeApi()
    put_revision(api, replicas=1)
    api.peek(resources.DEPLOYMENTS, DEPLOYMENT, "default")["spec"]["progressDeadlineSeconds"] = 5
    async with running(api) as system:
        await system.seconds(40)
        assert system.replicas == 0
        (event,) = [one for one in api.all(resources.EVENTS) if one["reason"] == "WakeFailed"]
        assert event["type"] == "Warning"
        assert event["message"].startswith(
            "Scaled from 1 to 0: 0 pods: no pod became ready before the progress deadline"
        )
        assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("Revision", "revision-uid")
        assert conditions.find(system.autoscaler, "Active")["status"] == "False"
        assert "ScaledToZero" not in system.events()


async def test_events_tell_the_numbers_before_and_after_and_the_cause():
    api = FakeApi()
    put_revision(api, replicas=1, target="1", target_utilization_percentage="100", window="6s")
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(8, 5.0)
        told = {event["reason"]: event["message"] for event in api.all(resources.EVENTS)}
        assert told["ScaledUp"].startswith("Scaled from 1 to 5: 5 pods: ")
        assert "5 requests in flight" in told["ScaledUp"]
        assert "asked so far 1" in told["PanicStarted"]


async def test_panic_of_the_first_decision_is_told():
    api = FakeApi()
    put_revision(api, status=inactive(), target="1", target_utilization_percentage="100")
    async with running(api) as system:
        system.poke(5)
        await system.settle()
        assert system.loop.history.last(KEY).is_panicking == ("PanicStarted" in system.events())
        await system.seconds(4)
        assert system.loop.history.last(KEY).is_panicking
        assert "PanicStarted" in system.events()


async def test_nothing_is_written_while_nothing_changes():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(10, 1.0)
        api.calls.clear()
        await system.seconds(20, 1.0)
        assert not [call for call in api.calls if call[0] == "patch"]


async def test_a_new_revision_that_begins_at_zero_is_told_so():
    api = FakeApi()
    put_settings(api, allow_zero_initial_scale="true")
    put_revision(api, initial_scale="0")
    async with running(api) as system:
        await system.seconds(4)
        found = {each["type"]: each["status"] for each in system.autoscaler["status"]["conditions"]}
        assert (found["ScaleTargetInitialized"], found["Active"]) == ("True", "False")
        assert system.autoscaler["status"]["servingMode"] == "Proxy"
        assert system.replicas == 0


async def test_a_sleeping_revision_takes_no_turns():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        await system.seconds(4)
        before = system.loop.counts.total()
        await system.seconds(20)
        assert system.loop.counts.total() == before


async def test_after_a_restart_pods_stay_until_a_window_was_seen():
    api = FakeApi()
    active = inactive(desiredScale=3, actualScale=3, servingMode="Serve")
    active["conditions"][0]["status"] = "True"
    put_revision(api, replicas=3, status=active)
    system_pods = 3
    async with running(api) as system:
        system.pods(system_pods)
        system.connect()
        await system.seconds(40, 0.0)
        assert system.replicas == 3
        assert system.latest().because is Because.WINDOW_NOT_FULL
        await system.seconds(30, 0.0)
        assert system.replicas < 3


async def test_a_revision_that_cannot_be_handled_does_not_stop_the_turns(caplog):
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        slot = system.loop.slots[KEY]
        row, system.loop.fleet.state.spec_row[slot] = system.loop.fleet.state.spec_row[slot], 99
        await system.seconds(2)
        assert "each is decided by itself" in caplog.text
        assert "the turn of default/hello-00001 failed" in caplog.text
        system.loop.fleet.state.spec_row[slot] = row
        before = system.loop.counts.total()
        await system.seconds(2)
        assert system.loop.counts.total() > before


async def test_pages_and_metrics_show_the_decisions():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        system.pods(1)
        system.connect()
        await system.seconds(4, 1.0)
        page = decisions_page(system.loop, Holders())
        (latest,) = msgspec.json.decode(page("", {}).body, type=list[Decision])
        assert latest.revision == "hello-00001"
        assert latest.sentence
        ring = msgspec.json.decode(page("default/hello-00001", {}).body, type=list[Decision])
        assert 1 < len(ring) <= RING_LENGTH
        assert page("default/nobody", {}).status == 404
        elsewhere = page("default/theirs", {})
        assert (elsewhere.status, msgspec.json.decode(elsewhere.body)["message"]) == (421, "other-pod")
        assert page("default/orphan", {}).status == 503
        metrics = Metrics(system.demand, system.loop.slots, system.loop.counts, lambda: system.now, limit=10)
        metrics.count("failed_writes", "", "of", lambda: {"decision": 7})
        text = {metric.name: metric.samples for metric in metrics.registry.collect()}
        assert text["kn_revision_pods_desired"][0].value == 1
        assert text["kn_revision_concurrency_stable"][0].value == 1
        assert text["kn_revision_concurrency_target"][0].value == 70
        assert text["kn_revision_capacity_excess"][0].value == latest.excess_burst_capacity
        assert text["kn_revision_rps_stable"] == []
        assert text["tidegate_autoscaler_failed_writes"][0].value == 7
        assert sum(sample.value for sample in text["tidegate_autoscaler_decisions"]) == system.loop.counts.total()
        api._remove((resources.POD_AUTOSCALERS, "default", "hello-00001"))
        await system.settle()
        left = [name for metric in metrics.registry.collect() for name in metric.samples if "hello" in str(name.labels)]
        assert left == []


@pytest.mark.looptime
async def test_the_timer_ticks_in_the_middle_of_each_second():
    api = FakeApi()
    loop = asyncio.get_running_loop()
    world = World(api)
    ticking = Loop(api, world, Demand(), loop.time, loop.time)
    ticks = []

    async def tick(now):
        ticks.append(round(now, 3) % 1)

    ticking.tick = tick
    task = tasks.spawn(ticking.run(), "turns")
    await asyncio.sleep(10)
    await tasks.cancel(task)
    assert len(ticks) in (9, 10, 11)
    assert set(ticks) == {0.5}
