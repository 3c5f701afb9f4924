"""What is easily got wrong in deciding how many pods there are: pitfalls 2 to 15, 21 and 29, by numbers.

Both forms of the decision are asked (`play`). Collected by `test_pitfalls`.
"""

from __future__ import annotations

import asyncio

import pytest

from autoscaler import state
from autoscaler.decide import bounds
from autoscaler.window import Window
from controller.reconcile import revision_status
from tests.conformance.pitfall_worlds import KEY, Reporters, Told, pitfall, play, pods
from tests.support import turning
from tests.support.fake_api import FakeApi
from tidegate.contracts import conditions
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.decision import Activity, Because, ServingMode

ONE_EACH = {"target": 1, "target-utilization-percentage": 100}


@pitfall(2, "no data is not zero")
def test_no_data_is_not_zero():
    """Knative scrapes and may find nothing; here pods report, and one that is connected and silent says zero."""
    (kept,) = play("active 3", (300, None, 3))
    assert (kept[0].desired, kept[0].because, kept[1]) == (3, Because.NO_DATA, 3)
    assert play("new", (60, None, 1))[0][0].desired == -1, "and who never knew has no opinion"
    assert pods(play("active 1", (0, None, 1), (60, None, 1), annotations={"target-burst-capacity": -1})) == [1, 0]
    reporters = Reporters()
    assert reporters.averages(100.5) is None
    reporters.pod("silent", 101.0)
    assert reporters.averages(101.5) == (0.0, 0.0)


def filled(values, size_s=60):
    window = Window(size_s)
    for second, value in enumerate(values):
        if value is not None:
            window.record(float(second), value)
    return window


@pitfall(3, "what missing seconds count for, and what residue does")
def test_missing_seconds_and_residue():
    assert filled([6, None, None, 6]).average(3.0) == 3.0, "gaps inside count as zero"
    assert filled([6, 6]).average(40.0) == 6.0, "seconds that are missing at the end do not"
    assert filled([10]).weighted_average(3.0) == pytest.approx(10 * 0.2 * 0.8**3), "there they do, unnormalised"
    assert filled([0.7, 0.1] * 300 + [0.0] * 60).average(659.0) == 0.0, "no residue of sums"
    assert 0 < filled([10] + [0] * 59).weighted_average(59.0) < 1e-4
    idle, exponential = ((58, 10.0, 1), (118, 0.0, 1)), {"metric-aggregation-algorithm": "weightedExponential"}
    assert play("active 1", *idle)[-1][0].stable_pods == 0
    late = play("active 1", *idle[:1], (117, 0.0, 1), annotations=exponential)[-1][0]
    assert 0 < late.stable_value < 1e-4 and late.stable_pods == 1, "any residue keeps one pod"


@pitfall(4, "what several report within one second adds up")
def test_reporters_of_one_second_add_up():
    reporters = Reporters()
    reporters.pod("pod", 99.0)
    for name in ("one activator", "another"):
        reporters.activator(name, 99.0)
    for name, concurrency in (("pod", 4.0), ("one activator", 2.0), ("another", 3.0)):
        reporters.say(name, 100.2, concurrency)
    assert reporters.averages(100.5) == (9.0, 9.0)


@pitfall(5, "a request that came through an activator counts once")
def test_proxied_requests_count_once():
    reporters = Reporters()
    reporters.pod("pod", 99.0)
    reporters.activator("activator", 99.0)
    reporters.say("pod", 100.2, 5.0, proxied_concurrency=3.0)
    reporters.say("activator", 100.2, 3.0)
    assert reporters.averages(100.5) == (5.0, 5.0)
    always = Reporters(target_burst_capacity=-1.0)
    always.pod("pod", 99.0)
    always.activator("activator", 99.0)
    always.say("pod", 100.2, 3.0, proxied_concurrency=3.0)
    always.say("activator", 100.2, 3.5)
    assert always.averages(100.5) == (3.5, 3.5), "with the activator always there, its numbers are the load"


@pitfall(6, "panic begins early, lasts a window after its last cause, and never falls")
def test_panic():
    calm, over, held, ends, after = play(
        "active 1", (59, 70.0, 1), (65, 71.0, 1), (124, 1.0, 2), (125, 1.0, 2), (128, 1.0, 2)
    )
    assert not calm[0].is_panicking
    assert over[0].is_panicking and over[0].panic_pods == 2, "two pods, unclamped and rounded up, of one that is ready"
    assert (held[0].is_panicking, held[0].stable_pods, held[0].desired) == (True, 1, 2)
    assert ends[0].is_panicking and not after[0].is_panicking
    assert after[0].desired == 1


@pitfall(7, "a restarted autoscaler does not scale down what it has not watched")
def test_a_restart_holds_what_runs():
    """Knative starts in panic; here the scale is held by a rule of its own for one window. Growing is free in both."""
    held, lower = play("restarted 5", (58, 70.0, 5), (64, 70.0, 5))
    assert (held[0].desired, held[0].because, held[0].is_panicking) == (5, Because.WINDOW_NOT_FULL, False)
    assert lower[0].desired == 2
    assert play("restarted 5", (20, 700.0, 5))[0][1] == 10


@pitfall(8, "a turn goes down to half of the ready pods, or all the way where nothing can reach them")
def test_the_rate_downwards():
    assert pods(play("active 9", (0, 1.0, 9), (2, 1.0, 9), (4, 1.0, 4), (6, 1.0, 2))) == [4, 4, 2, 1]
    assert pods(play("active 9", (0, 1.0, 9), reachability="Unreachable")) == [1]


@pitfall(9, "what an unreachable revision ignores, and the maximum that it does not")
def test_an_unreachable_revision():
    minimum = {"min-scale": 3, "scale-down-delay": "10m", "scale-to-zero-pod-retention-period": "10m", "max-scale": 5}
    for kept in (*[{key: value} for key, value in minimum.items() if key != "max-scale"], minimum):
        steps = ((20, 200.0, 4), (240, 0.0, 1))
        assert pods(play("active 4", *steps, annotations=kept))[-1] > 0
        assert pods(play("active 4", *steps, annotations=kept, reachability="Unreachable"))[-1] == 0
    assert pods(play("active 4", (0, 700.0, 4), annotations=minimum, reachability="Unreachable")) == [5]
    fresh = state.fresh(0.0)
    assert bounds(ScalingSpec(initial_scale=4), fresh) == (4, 0)
    assert bounds(ScalingSpec(initial_scale=4, is_reachable=False), fresh) == (0, 0)


@pitfall(10, "the initial scale is a floor above the maximum until it was reached once")
def test_the_initial_scale():
    first = {"initial-scale": 3, "max-scale": 2, **ONE_EACH}
    before, reached, after, away = play("new", (0, 9.0, 0), (2, 9.0, 3), (4, 9.0, 3), (6, 9.0, 0), annotations=first)
    assert (before[0].desired, before[0].is_initialized) == (3, False)
    assert reached[0].is_initialized and after[0].desired == 2
    assert away[0].is_initialized and away[0].desired == 2, "it stays initialised without a pod"
    assert pods(play("new", (0, 9.0, 0), annotations={"initial-scale": 3, **ONE_EACH})) == [9]


@pitfall(11, "the activation scale comes after the rate limits, and lifts whatever runs")
def test_the_activation_scale():
    lifted = {"activation-scale": 5, **ONE_EACH}
    assert pods(play("active 1", (0, 1.0, 1), annotations=lifted)) == [5]
    config = {"max-scale-up-rate": 2}
    assert pods(play("active 1", (0, 4.0, 1), annotations=ONE_EACH, config=config)) == [2]
    assert pods(play("active 1", (0, 4.0, 1), annotations=lifted, config=config)) == [5]
    assert play("active 1", (0, 0.0, 1), annotations=lifted)[0][0].stable_pods == 0, "no load lifts nothing"
    assert pods(play("active 1", (0, 0.0, 1), (60, 0.0, 1), annotations=lifted))[-1] == 0


@pitfall(12, "zero is first announced, and pods go after the grace period")
def test_zero_takes_two_phases():
    """Knative probes the route before pods go; here the activator must have been in the path for the grace period."""
    serving = {"target-burst-capacity": 0}
    steps = ((100, 1.0, 1), (160, 0.0, 1), (188, 0.0, 1), (190, 0.0, 1))
    _, told, waits, gone = play("active 1", *steps, annotations=serving)
    assert (told[0].desired, told[0].is_applied, told[1]) == (0, False, 1)
    assert (told[0].activity, told[0].activity_reason) == (Activity.INACTIVE, "NoTraffic")
    assert told[0].serving_mode is ServingMode.PROXY
    assert waits[1] == 1 and gone[1] == 0
    proxied = play("active 1", (100, 1.0, 1), (160, 0.0, 1), (162, 0.0, 1))
    assert pods(proxied) == [1, 1, 0], "where the activator has been in the path for that long, nothing is waited for"


@pitfall(13, "a pod stays for a stable window after its revision became active")
def test_a_window_since_active():
    young, old = play("new", (58, 0.0, 1), (60, 0.0, 1))
    assert (young[0].desired, young[0].because, young[0].stable_pods) == (1, Because.ZERO_STABLE_WINDOW, 0)
    assert old[0].desired == 0


@pitfall(14, "an activation fails after the progress deadline and 30 s, its revision only if it never was up")
def test_a_failed_activation():
    soon = {"serving.knative.dev/progress-deadline": "10s"}
    tried, failed = play("new", (40, None, 0), (42, None, 0), annotations=soon)
    assert (tried[0].desired, tried[0].is_applied, tried[1]) == (-1, False, 1)
    assert (failed[0].because, failed[1]) == (Because.ACTIVATION_FAILED, 0)
    assert (failed[0].activity, failed[0].activity_reason) == (Activity.INACTIVE, "TimedOut")
    assert [resources_after_a_timeout(is_initialised=was_up) for was_up in (False, True)] == ["False", "True"]


def resources_after_a_timeout(*, is_initialised):
    told = [
        {"type": "ScaleTargetInitialized", "status": "True" if is_initialised else "Unknown"},
        {"type": "Ready", "status": "False", "reason": "TimedOut", "message": ""},
    ]
    deployment = {
        "spec": {"replicas": 0},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Progressing", "status": "True"}]},
    }
    judged = Conditions(conditions.REVISION, {"metadata": {"generation": 1}}, 0.0)
    scaler = {"status": {"serviceName": "hello-private", "conditions": told}}
    revision_status.judge(judged, revision_status.Health(deployment, scaler, ()))
    return judged.get("ResourcesAvailable")["status"]


@pitfall(15, "excess burst capacity: ready pods, total and panic average decide who is in the path")
def test_excess_burst_capacity():
    table = {(0, 1.0): -212, (1, 10.0): -121, (2, 1.0): -12, (3, 89.0): 0, (3, 90.0): -1}
    for (ready, load), excess in table.items():
        made = play(f"active {ready}", (0, load, ready))[0][0]
        assert made.excess_burst_capacity == excess
        assert (made.serving_mode is ServingMode.SERVE) == (excess >= 0)
    none = play("active 1", (0, 0.0, 1), annotations={"target-burst-capacity": 0})[0][0]
    assert (none.excess_burst_capacity, none.serving_mode) == (0, ServingMode.PROXY), "nothing wanted, nothing served"


@pitfall(15, "excess burst capacity: ready pods, total and panic average decide who is in the path")
async def test_a_change_of_sign_alone_is_written():
    api = FakeApi()
    turning.put_revision(api, replicas=3, min_scale="3", max_scale="3")
    async with turning.running(api) as system:
        system.pods(3)
        await system.seconds(8, 80.0)
        assert system.autoscaler["status"]["servingMode"] == "Serve"
        await system.seconds(8, 95.0)
        assert system.autoscaler["status"]["servingMode"] == "Proxy"
        assert (system.patches("deployments"), system.replicas) == (0, 3)


@pitfall(21, "the first request is told at once, and counted once")
@pytest.mark.looptime
async def test_the_first_request_is_told_at_once_and_counted_once():
    """Knative's word of the first request is a sample that is subtracted later; here it is a word apart: it covers no
    time and counts no arrival, and stands in only until the first second is known."""
    told = Told()
    told.demand.arrived(KEY, told.clock())
    told.waiting = 1
    told.demand.began_to_wait(KEY)
    (first,) = told.sent
    assert (first.is_first, first.in_flight, first.interval_s) == (True, 1, 0.0)
    await asyncio.sleep(0.25)
    told.demand.ended(KEY, told.clock())
    await asyncio.sleep(0.75)
    told.demand.tick()
    assert sum(one.requests for one in told.sent) == 1
    assert told.sent[-1].concurrency == pytest.approx(0.25), "and not 1.25"


@pitfall(21, "the first request is told at once, and counted once")
async def test_the_first_request_is_decided_on_at_once():
    api = FakeApi()
    turning.put_revision(api, status=turning.inactive())
    async with turning.running(api) as system:
        await system.seconds(2)
        system.poke(1)
        await system.settle()
        assert system.replicas == 1, "without a tick of the clock"


@pitfall(29, "a missing report does not read as missing load")
def test_a_missing_report_does_not_read_as_missing_load():
    """Knative samples pods, the young ones last, and drops a sample that lacks too many. Nothing is sampled here: every
    pod reports itself, a late report is bridged by the one before, and a pod that is gone counts no more."""
    reporters = Reporters()
    for name in ("old", "lost"):
        reporters.pod(name, 99.0)
        reporters.say(name, 100.2, 4.0)
    assert reporters.averages(100.5) == (8.0, 8.0)
    reporters.say("old", 101.2, 4.0)
    assert reporters.averages(101.5) == (8.0, 8.0), "half of the reports are not half of the load"
    reporters.pod("young", 101.6)
    reporters.say("young", 102.2, 1.0)
    reporters.say("old", 102.2, 4.0)
    reporters.say("lost", 102.2, 4.0)
    stable, _ = reporters.averages(102.5)
    assert stable == pytest.approx((8 + 8 + 9) / 3, abs=1e-5), "a young pod counts with its own load, not with others'"
