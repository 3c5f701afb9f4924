"""Properties of every decision, and what the timelines of tests/specs do not say."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler import state
from autoscaler.decide import bounds, decide
from tidegate.contracts import autoscaling_annotations as annotation_keys
from tidegate.contracts import autoscaling_extensions
from tidegate.contracts.autoscaling import ScalingSpec, resolve_spec
from tidegate.contracts.decision import Activity, Because, ServingMode

values = st.one_of(st.none(), st.floats(0, 1e6), st.sampled_from([0.0, 0.000001, 1e300, math.inf, math.nan]))
counts = st.integers(0, 2000)

specs = st.builds(
    ScalingSpec,
    metric=st.sampled_from(["concurrency", "rps"]),
    target=st.floats(0.01, 1000),
    total=st.floats(0.01, 1000),
    stable_window_s=st.integers(6, 3600).map(float),
    panic_window_s=st.integers(1, 60).map(float),
    panic_threshold=st.floats(0.1, 10),
    max_scale_up_rate=st.floats(1.01, 1e6),
    max_scale_down_rate=st.floats(1.01, 100),
    target_burst_capacity=st.one_of(st.just(-1.0), st.just(0.0), st.floats(0, 1e6)),
    min_scale=st.integers(0, 5),
    max_scale=st.one_of(st.just(0), st.integers(5, 50)),
    initial_scale=st.integers(0, 4),
    activation_scale=st.sampled_from([0, 2, 7]),
    scale_down_delay_s=st.sampled_from([0.0, 5.0, 60.0]),
    grace_s=st.floats(0.1, 100),
    retention_s=st.sampled_from([0.0, 10.0, 300.0]),
    progress_deadline_s=st.floats(1, 700),
    is_scale_to_zero_enabled=st.booleans(),
    is_reachable=st.booleans(),
)
observations = st.builds(
    state.Observation,
    stable_value=values,
    panic_value=values,
    waiting=counts,
    ready_pods=counts,
    not_ready_pods=counts,
    current_scale=counts,
    is_poked=st.booleans(),
)
runs = st.lists(st.tuples(st.floats(0, 90), observations), min_size=1, max_size=12)


def play(spec, memory, run):
    """Yield (now, observation, memory before, decision, memory after) of each turn."""
    now = memory.began_at
    for gap_s, seen in run:
        now += gap_s
        before = memory
        decision, memory = decide(spec, seen, memory, now)
        yield now, seen, before, decision, memory


@given(specs, runs)
def test_a_decision_is_total_and_within_bounds(spec, run):
    for _now, _seen, before, decision, _after in play(spec, state.fresh(1000.0), run):
        low, high = bounds(spec, before)
        assert -1 <= decision.desired <= state.PODS_MAX
        if decision.desired >= 0:
            assert decision.desired >= low
            # Without scale to zero one pod stays; no bound forbids that (a maximum of 0 is none).
            assert high == 0 or decision.desired <= high
        assert decision.because in Because
        assert decision.serving_mode in ServingMode


anything = st.one_of(st.none(), st.floats(), st.integers(-(10**30), 10**30).map(float))
any_count = st.one_of(st.integers(-5, 20), st.integers(-(10**30), 10**30))
any_text = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1", "2", "3.5", "1e300", "100", "6s", "1h", "nonsense", "rps", "concurrency=1,rps"]
    ),
    st.text(max_size=8),
)
any_annotations = st.dictionaries(
    st.sampled_from(
        [key for spellings in vars(annotation_keys).values() if type(spellings) is tuple for key in spellings]
        + sorted(autoscaling_extensions.KEYS)
    ),
    any_text,
    max_size=8,
)
any_observations = st.builds(
    state.Observation,
    stable_value=anything,
    panic_value=anything,
    other_stable_value=anything,
    other_panic_value=anything,
    waiting=any_count,
    ready_pods=any_count,
    not_ready_pods=any_count,
    starting_pods=any_count,
    start_s=st.floats(),
    current_scale=any_count,
    prewarm_pods=any_count,
)


@given(any_annotations, any_count, st.lists(st.tuples(st.floats(), any_observations), min_size=1, max_size=5))
def test_nothing_makes_a_decision_fail_or_leave_its_bounds(annotations, concurrency, run):
    """Any annotations, any numbers seen, any clock."""
    spec = resolve_spec(annotations, concurrency, unix_s=1_800_000_000.0)
    memory = state.fresh(0.0)
    for now, seen in run:
        low, high = bounds(spec, memory)
        decision, memory = decide(spec, seen, memory, now)
        assert -1 <= decision.desired <= state.PODS_MAX
        if decision.desired >= 0:
            assert decision.desired >= low
            assert high == 0 or decision.desired <= high
        assert -1.0 <= decision.next_change_s < math.inf
        assert decision.activators >= 2
        msgspec.json.encode(decision)


@given(specs, runs)
def test_nothing_is_taken_away_before_a_window_was_seen_after_a_restart(spec, run):
    spec = replace(spec, max_scale=0)
    memory = state.restored(
        1000.0,
        activity=Activity.ACTIVE,
        activity_age_s=1e6,
        is_initialized=True,
        serving_mode=ServingMode.SERVE,
    )
    for now, seen, before, decision, _after in play(spec, memory, run):
        if now - 1000.0 < spec.stable_window_s and decision.is_applied and decision.desired >= 0:
            assert decision.desired >= seen.current_scale or decision.because is Because.ACTIVATION_FAILED, before


def test_a_restart_without_scale_to_zero_and_without_data_takes_no_pod_away():
    spec = ScalingSpec(is_scale_to_zero_enabled=False)
    memory = state.restored(
        1000.0,
        activity=Activity.ACTIVATING,
        activity_age_s=0.0,
        is_initialized=True,
        serving_mode=ServingMode.PROXY,
    )
    seen = state.Observation(stable_value=None, panic_value=None, ready_pods=0, not_ready_pods=5, current_scale=5)
    decision, _ = decide(spec, seen, memory, 1001.0)
    assert decision.desired == 5


@given(specs, runs)
def test_in_panic_the_number_never_falls(spec, run):
    spec = replace(spec, max_scale=0)
    highest = 0
    for _now, _seen, _before, _decision, after in play(spec, state.fresh(1000.0), run):
        if after.panic_at is None:
            highest = 0
            continue
        assert after.panic_pods >= highest
        highest = after.panic_pods


@given(specs, runs)
def test_pods_go_only_after_the_activator_was_in_the_path_for_the_grace_period(spec, run):
    proxied_since = None
    for now, seen, before, decision, after in play(spec, state.fresh(1000.0), run):
        gone = decision.desired == 0 and decision.is_applied and seen.current_scale > 0
        if gone and decision.because is not Because.ACTIVATION_FAILED:
            inactive_s = now - before.activity_since
            assert before.activity is Activity.INACTIVE
            assert (proxied_since is not None and now - proxied_since >= spec.grace_s) or inactive_s >= spec.grace_s
            assert not spec.is_reachable or inactive_s >= spec.retention_s
        proxied_since = after.proxy_since


@given(specs, runs)
def test_zero_or_no_pods_wanted_is_never_served_directly(spec, run):
    for _now, _seen, _before, decision, after in play(spec, state.fresh(1000.0), run):
        if decision.desired == 0:
            assert decision.serving_mode is ServingMode.PROXY
        assert (after.proxy_since is None) == (decision.serving_mode is ServingMode.SERVE)


@given(specs, runs)
def test_the_memory_stays_small_and_initialisation_is_for_ever(spec, run):
    was_initialized = False
    for _now, _seen, _before, decision, after in play(spec, state.fresh(1000.0), run):
        assert len(after.delayed) <= 60
        assert after.is_initialized or not was_initialized
        was_initialized = after.is_initialized
        assert decision.activity is after.activity


@given(specs, observations, st.integers(0, 100))
def test_more_load_never_asks_for_fewer_pods(spec, seen, extra):
    seen = msgspec.structs.replace(seen, stable_value=10.0, panic_value=10.0, waiting=0)
    more = msgspec.structs.replace(seen, stable_value=10.0 + extra, panic_value=10.0 + extra)
    one, _ = decide(spec, seen, state.fresh(0.0), 1.0)
    other, _ = decide(spec, more, state.fresh(0.0), 1.0)
    assert other.desired >= one.desired


def test_the_same_arguments_give_the_same_answer():
    arguments = ScalingSpec(), state.Observation(stable_value=300.0, panic_value=500.0, ready_pods=2), state.fresh(1.0)
    assert decide(*arguments, 5.0) == decide(*arguments, 5.0)


def test_a_waiting_request_at_zero_is_at_least_one_pod_for_any_target():
    spec = ScalingSpec(metric="rps", target=140.0, total=200.0)
    decision, _ = decide(spec, state.Observation(waiting=1), state.fresh(0.0), 0.0)
    assert (decision.desired, decision.because) == (1, Because.WAITING_REQUEST)


def test_pods_that_start_shrink_nothing():
    """Half of the ready pods is the floor of one turn; pods that start neither raise nor lower it."""
    seen = state.Observation(stable_value=0.0, panic_value=0.0, ready_pods=8, current_scale=20)
    starting = msgspec.structs.replace(seen, not_ready_pods=12)
    assert decide(ScalingSpec(), seen, state.fresh(0.0), 1.0)[0].desired == 4
    assert decide(ScalingSpec(), starting, state.fresh(0.0), 1.0)[0].desired == 4


@settings(max_examples=20)
@given(st.floats(0, 1e5))
def test_next_change_is_never_in_the_past(gap_s):
    memory = state.fresh(0.0)
    seen = state.Observation(stable_value=0.0, panic_value=0.0, ready_pods=1, current_scale=1)
    for now in (1.0, 1.0 + gap_s):
        decision, memory = decide(ScalingSpec(), seen, memory, now)
        assert decision.next_change_s == -1 or decision.next_change_s >= 0


@pytest.mark.parametrize("config_scale", [0, 1])
def test_no_deployment_yet_is_not_a_reason_to_fail(config_scale):
    decision, _ = decide(ScalingSpec(min_scale=config_scale), state.Observation(), state.fresh(0.0), 0.0)
    assert decision.desired in (-1, 1)


def test_the_number_falls_once_in_two_seconds_however_many_turns_there_are():
    """A pod that goes causes a turn; each turn may halve what is ready, but not at once again."""
    spec, memory, now, pods, fell = ScalingSpec(), state.Memory(began_at=0.0, wanted=16), 1000.0, 16, []
    for _ in range(100):
        now += 0.1
        seen = state.Observation(stable_value=1.0, panic_value=1.0, ready_pods=pods, current_scale=pods)
        decision, memory = decide(spec, seen, memory, now)
        if decision.desired < pods:
            fell.append((round(now - 1000.0, 1), decision.desired))
        pods = decision.desired
    assert fell == [(0.1, 8), (2.0, 4), (3.9, 2), (5.8, 1)]
