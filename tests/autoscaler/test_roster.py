"""Who is awake and who sleeps: a revision at rest has no slot, and any event that matters gives it one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import state
from autoscaler.decide import decide
from autoscaler.metrics import Metrics
from autoscaler.pages import decisions_page
from autoscaler.roster import REST_S
from autoscaler.state import Memory, Observation
from autoscaler.status import memory_of_rest, status_of, tells_rest
from tests.support.fake_api import FakeApi
from tests.support.turning import DEPLOYMENT, KEY, Holders, inactive, put_autoscaler, put_revision, running
from tidegate.contracts import names
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Because, Decision
from tidegate.kube import resources


async def test_who_is_at_rest_at_the_start_has_no_slot():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        await system.seconds(4)
        assert not system.loop.slots
        assert not system.demand.keys
        assert system.loop.roster.is_known(KEY)
        assert [key for key, _spec in system.loop.roster.asleep(10)] == [KEY]


@pytest.mark.parametrize(
    "annotations",
    [
        {"min_scale": "1"},
        {"schedule": '[{"start": "18 8 * * *", "end": "19 8 * * *", "min-scale": 2}]'},
        {"prewarm": "histogram"},
    ],
)
async def test_who_may_want_pods_without_a_request_stays_awake(annotations):
    api = FakeApi()
    put_revision(api, status=inactive())
    found = api.peek(resources.POD_AUTOSCALERS, KEY[1], KEY[0])["metadata"]["annotations"]
    for name, value in annotations.items():
        found[("autoscaling.knative.dev/" if "scale" in name else "tidegate.dev/") + name.replace("_", "-")] = value
    async with running(api) as system:
        await system.seconds(4)
        assert KEY in system.loop.slots


def changed_scale(system):
    system.api.peek(resources.DEPLOYMENTS, DEPLOYMENT, "default")["spec"]["replicas"] = 2
    put = system.api.peek(resources.DEPLOYMENTS, DEPLOYMENT, "default")
    system.api.put(resources.DEPLOYMENTS, put)


async def test_a_status_that_tells_of_a_pod_that_is_gone_is_told_anew():
    """The pod went while nobody decided: a fresh autoscaler finds the status of before."""
    api = FakeApi()
    put_revision(api, status=inactive(actualScale=1))
    async with running(api) as system:
        await system.seconds(4)
        assert system.autoscaler["status"]["actualScale"] == 0
        await system.seconds(int(REST_S) + 10)
        assert not system.loop.slots


async def test_zero_that_is_forbidden_wakes_who_sleeps():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        await system.seconds(4)
        where = {"name": names.CONFIG_AUTOSCALER, "namespace": names.SYSTEM_NAMESPACE}
        api.put(resources.CONFIG_MAPS, {"metadata": where, "data": {"enable-scale-to-zero": "false"}})
        await system.seconds(2)
        assert system.replicas == 1


EVENTS = {
    "a poke": lambda system: system.poke(1),
    "a queueproxy connects": lambda system: system.connect(),
    "a pod is there": lambda system: system.pods(1),
    "somebody scaled it": changed_scale,
    "a minimum": lambda system: put_autoscaler(system.api, inactive(), min_scale="1"),
    "a status that tells of pods": lambda system: put_autoscaler(
        system.api, inactive(desiredScale=1), generation_of_spec="2"
    ),
}


@pytest.mark.parametrize("event", EVENTS)
async def test_what_wakes(event):
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        await system.seconds(4)
        assert KEY not in system.loop.slots
        EVENTS[event](system)
        await system.settle()
        assert KEY in system.loop.slots


async def test_a_life_ends_in_sleep_and_begins_again():
    api = FakeApi()
    put_revision(api, status=inactive(), target="1", target_utilization_percentage="100", window="6s")
    async with running(api) as system:
        await system.seconds(2)
        system.poke(1)
        await system.settle()
        assert system.replicas == 1
        system.pods(1)
        await system.settle()
        system.demand.close(system.book[KEY])
        system.connect()
        await system.seconds(10, 1.0)
        await system.seconds(70, 0.0)
        assert system.replicas == 0
        system.demand.close(system.row)
        system.row = -1
        api._remove((resources.PODS, "default", "pod-0"))
        await system.seconds(int(REST_S) + 10)
        assert not system.loop.slots
        assert not system.demand._slots
        told = system.loop.history.of(KEY)
        assert told[-1].desired == 0
        # What was learned of it stays: how long its pods take, and what was decided.
        page = decisions_page(system.loop, Holders())
        ring = msgspec.json.decode(page("default/hello-00001", {}).body, type=list[Decision])
        assert len(ring) >= len(told)
        assert ring[-1].desired == 0
        system.poke(1)
        await system.settle()
        assert system.replicas == 1
        assert system.loop.history.last(KEY).because is not Because.WINDOW_NOT_FULL


async def test_one_that_sleeps_is_shown_with_zeros():
    api = FakeApi()
    put_revision(api, status=inactive(), target="7")
    async with running(api) as system:
        await system.seconds(4)
        page = decisions_page(system.loop, Holders())
        (latest,) = msgspec.json.decode(page("", {}).body, type=list[Decision])
        assert (latest.desired, latest.current_scale) == (0, 0)
        roster = system.loop.roster
        metrics = Metrics(system.demand, system.loop.slots, system.loop.counts, lambda: system.now, 10, roster.asleep)
        text = {metric.name: metric.samples for metric in metrics.registry.collect()}
        assert [sample.value for sample in text["kn_revision_pods_desired"]] == [0]
        assert [sample.value for sample in text["kn_revision_concurrency_target"]] == [pytest.approx(4.9)]
        assert [sample.value for sample in text["kn_revision_concurrency_stable"]] == [0]


async def test_a_revision_that_is_gone_is_no_more_known():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as system:
        api._remove((resources.POD_AUTOSCALERS, "default", "hello-00001"))
        await system.settle()
        assert not system.loop.roster.is_known(KEY)
        assert decisions_page(system.loop, Holders())("default/hello-00001", {}).status == 404


SPECS = st.builds(
    ScalingSpec,
    target=st.sampled_from([1.0, 7.0, 70.0]),
    target_burst_capacity=st.sampled_from([-1.0, 0.0, 200.0]),
    activation_scale=st.sampled_from([0, 3]),
    scale_down_delay_s=st.sampled_from([0.0, 30.0]),
    last_pod_delay_s=st.sampled_from([-1.0, 20.0]),
)
LOADS = st.none() | st.sampled_from([0.0, 0.5, 3.0, 500.0])
AUTOSCALER = {"metadata": {"name": "app", "generation": 1}, "spec": {}}


@given(SPECS, LOADS, st.integers(0, 300), st.floats(60.0, 500.0))
def test_the_first_decision_after_sleep_is_that_of_one_who_never_slept(spec, load, waiting, slept_s):
    """What a revision remembers at rest is what its status tells: dropping it changes nothing that is asked for."""
    memory = Memory(
        began_at=-1000.0,
        wanted=0,
        activity=state.Activity.INACTIVE,
        activity_reason="NoTraffic",
        activity_since=0.0,
        is_initialized=True,
        serving_mode=state.ServingMode.PROXY,
        proxy_since=0.0,
    )
    resting, memory = decide(spec, Observation(revision="app", current_scale=0), memory, 1.0)
    obj = AUTOSCALER | {"status": status_of(resting, AUTOSCALER, 1.0)}
    obj["status"]["desiredScale"] = 0
    assert tells_rest(obj)
    now = slept_s
    recalled = memory_of_rest(obj, now, now, here_since=-1000.0)
    seen = Observation(stable_value=load, panic_value=load, waiting=waiting)
    one, after = decide(spec, seen, memory, now)
    other, recalled_after = decide(spec, seen, recalled, now)
    assert (one.desired, one.because, one.serving_mode, one.activity) == (
        other.desired,
        other.because,
        other.serving_mode,
        other.activity,
    )
    assert after.panic_at == recalled_after.panic_at
