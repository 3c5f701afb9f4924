"""Turns against a scripted API server: what is asked of Deployments, told in the status, and remembered."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from autoscaler.demand import Book, Demand
from autoscaler.history import RING_LENGTH
from autoscaler.loop import Loop
from autoscaler.metrics import Metrics
from autoscaler.pages import decisions_page
from autoscaler.watch import World
from tests.support.fake_api import FakeApi
from tidegate.contracts import conditions, names
from tidegate.contracts.decision import Because, Decision
from tidegate.contracts.report import Report
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable
from tidegate.process import tasks

KEY = ("default", "hello-00001")
DEPLOYMENT = "hello-00001-deployment"
LABELS = {names.REVISION_LABEL: "hello-00001", names.REVISION_UID_LABEL: "revision-uid"}


class System:
    """A Loop with its caches on a FakeApi, and a clock that a test moves."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.now = 1000.5
        self.world = World(api)
        self.demand = Demand()
        self.loop = Loop(api, self.world, self.demand, lambda: self.now, lambda: 1_800_000_000.0 + self.now)
        self.loop.publisher.recorder.delay_s = 0
        self.row = -1
        self.book: Book = {}

    def connect(self) -> None:
        """A queueproxy connects."""
        self.row = self.demand.open(KEY, self.now)

    def report(self, report: Report) -> None:
        if self.row < 0:
            self.connect()
        self.demand.sources.take(self.row, report, self.now)

    def poke(self, in_flight: int) -> None:
        """An activator has requests that wait."""
        row = self.book.get(KEY)
        row = self.demand.open_for(self.book, KEY, self.now) if row is None else row
        self.demand.sources.take(row, Report(*KEY, 1, 0.0, 0.0, in_flight=in_flight, is_first=True), self.now)
        self.loop.poke(KEY)

    async def seconds(self, count: int, concurrency: float | None = None) -> None:
        """Let seconds pass, each with one report of a queueproxy."""
        for _ in range(count):
            self.now += 1
            if concurrency is not None:
                self.report(Report(*KEY, 1, 1.0, concurrency))
            await self.loop.tick(self.now)
            await self.settle()

    async def settle(self) -> None:
        """Let everything that is under way come to rest."""
        for _ in range(60):
            await asyncio.sleep(0)

    @property
    def replicas(self) -> int:
        return self.api.peek(resources.DEPLOYMENTS, DEPLOYMENT, "default")["spec"]["replicas"]

    @property
    def autoscaler(self) -> dict:
        return self.api.peek(resources.POD_AUTOSCALERS, "hello-00001", "default")

    def patches(self, plural: str) -> int:
        return sum(1 for verb, kind, _name in self.api.calls if verb == "patch" and kind == plural)

    def events(self) -> list[str]:
        return [event["reason"] for event in self.api.all(resources.EVENTS)]

    def pods(self, ready: int) -> None:
        for number in range(ready):
            condition = {"type": "Ready", "status": "True"}
            self.api.put(
                resources.PODS,
                {
                    "metadata": {"name": f"pod-{number}", "namespace": "default", "labels": LABELS},
                    "status": {"phase": "Running", "conditions": [condition]},
                },
            )

    def latest(self) -> Decision:
        return self.loop.latest(KEY)


def put_revision(api: FakeApi, replicas: int = 0, status: dict | None = None, uid: str = "one", **annotations) -> None:
    api.put(
        resources.DEPLOYMENTS,
        {"metadata": {"name": DEPLOYMENT, "namespace": "default", "labels": LABELS}, "spec": {"replicas": replicas}},
    )
    put_autoscaler(api, status, uid, **annotations)


def put_autoscaler(api: FakeApi, status: dict | None = None, uid: str = "one", **annotations) -> None:
    body = {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": uid,
            "generation": 1,
            "labels": LABELS,
            "annotations": {names.AUTOSCALING + key.replace("_", "-"): value for key, value in annotations.items()},
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT},
            "reachability": "Reachable",
            "containerConcurrency": 0,
        },
    }
    api.put(resources.POD_AUTOSCALERS, body | ({"status": status} if status else {}))


class Holders:
    """One other replica, which decides for all whose name says so."""

    def is_ours(self, key: tuple[str, str]) -> bool:
        return key[1] not in ("theirs", "orphan")

    def holder_of(self, key: tuple[str, str]) -> str:
        return "other-pod_10.0.0.2:8080" if key[1] == "theirs" else ""


@contextlib.asynccontextmanager
async def running(api: FakeApi):
    system = System(api)
    caches = [tasks.spawn(cache.run(), "cache") for cache in system.world.caches]
    try:
        async with asyncio.timeout(60):
            for cache in system.world.caches:
                await cache.wait_synced(20)
            await system.settle()
            yield system
    finally:
        await tasks.cancel(*caches)
        await system.loop.publisher.close()


def inactive(**more) -> dict:
    stamp = "2020-01-01T00:00:00Z"
    return {
        "observedGeneration": 1,
        "desiredScale": 0,
        "actualScale": 0,
        "servingMode": "Proxy",
        "conditions": [
            {"type": "Active", "status": "False", "reason": "NoTraffic", "lastTransitionTime": stamp},
            {"type": "ScaleTargetInitialized", "status": "True", "lastTransitionTime": stamp},
        ],
        **more,
    }


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
    metadata = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"allow-zero-initial-scale": "true"}})
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
        metadata = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
        api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"min-scale": "2"}})
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
        metadata = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
        api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"min-scale": "2"}})
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


async def test_settings_that_cannot_be_used_are_told_and_the_last_good_ones_stay():
    api = FakeApi()
    put_revision(api, replicas=1)
    async with running(api) as system:
        metadata = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
        api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"min-scale": "2"}})
        await system.settle()
        api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"min-scale": "3", "stable-window": "1s"}})
        await system.settle()
        assert system.replicas == 2
        (event,) = [one for one in api.all(resources.EVENTS) if one["reason"] == "InvalidConfiguration"]
        assert event["type"] == "Warning"
        assert "stable-window" in event["message"]
        assert event["involvedObject"]["name"] == names.CONFIG_AUTOSCALER


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
