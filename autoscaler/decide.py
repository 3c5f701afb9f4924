"""The scaling decision: read this first. Each arrow of the chain is one function, in the order they apply.

    load → rate limits → activation scale → panic → growth per start time → the higher window        (`load`, `delays`)
         → scale-down delay → last pod's delay → pace                                                (`delays`)
         → bounds → pre-warm → zero sequence → restart hold → serving mode → activity                (`zero`)

`decide` is pure and total: same arguments, same answer, no exception. What one turn must tell the next is the Memory it
returns. -1 pods is "no opinion": the scale stays as it is. `fleet_decide` is the same for many revisions at once.
"""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler import delays, waits, zero
from autoscaler import load as load_rules
from autoscaler.load import Limits, Load
from autoscaler.state import NO_OPINION, Memory, Observation, Step, sane, sane_now
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because, Decision, ServingMode


def decide(spec: ScalingSpec, seen: Observation, memory: Memory, now: float) -> tuple[Decision, Memory]:
    """Return the decision for one revision at `now` (monotonic seconds), and the memory for its next turn."""
    seen, now = sane(seen), sane_now(now)
    load = load_rules.load_of(spec, seen, memory)
    limits = load_rules.rate_limits(spec, seen)
    before = memory
    if load is None:
        ask, step = None, Step(memory.wanted, Because.NO_DATA)
    else:
        ask = load_rules.pods_for_load(spec, load)
        ask = load_rules.limit_rates(limits, ask)
        ask = load_rules.lift_to_activation_scale(spec, ask)
        memory = load_rules.watch_panic(spec, seen, ask, memory, now)
        ask, memory = delays.pace_growth(spec, seen, ask, memory, now)
        step, memory = load_rules.choose_window(ask, memory)
        step, memory = delays.delay_scale_down(spec, step, memory, now)
        step, memory = delays.delay_last_pod(spec, seen, ask, step, memory, now)
        step, memory = delays.pace_scale_down(spec, step, memory, now)
        excess = load_rules.excess_burst_capacity(spec, seen.ready_pods, load.panic)
        memory = replace(memory, wanted=step.pods, excess_burst_capacity=excess)
    step = apply_bounds(spec, seen, step, memory)
    step = keep_warm(spec, seen, step, memory)
    verdict = zero.zero_sequence(spec, seen, step, memory, now)
    verdict = hold_until_window_full(spec, seen, verdict, memory, now)
    if verdict.step.because is Because.LAST_POD_DELAY:
        verdict = replace(verdict, wait_s=delays.last_pod_left_s(spec, memory, now))
    desired = verdict.step.pods
    mode = zero.serving_mode(spec, desired, memory)
    memory = zero.remember(spec, seen, desired, mode, memory, now)
    wait_s = waits.next_change_s(
        spec,
        verdict.step.because,
        verdict.wait_s,
        now,
        panic_at=memory.panic_at,
        surge_at=memory.surge_at,
        start_s=seen.start_s,
        delayed=lambda: memory.delayed,
    )
    verdict = replace(verdict, wait_s=wait_s) if wait_s != verdict.wait_s else verdict
    return _decision(spec, seen, load, limits, ask, verdict, memory, before), memory


def hold_until_window_full(
    spec: ScalingSpec, seen: Observation, verdict: zero.Verdict, memory: Memory, now: float
) -> zero.Verdict:
    """After a restart, keep what runs until a whole stable window has been seen; growing is free.

    It comes last, so that no other rule takes away what this one keeps; only the maximum still holds, and a revision
    that could not be activated goes all the same.
    """
    left_s = memory.began_at + spec.stable_window_s - now
    is_over = not memory.is_restored or left_s <= 0 or verdict.step.because is Because.ACTIVATION_FAILED
    if is_over or not 0 <= verdict.step.pods < seen.current_scale:
        return verdict
    _, high = bounds(spec, memory)
    if 0 < high < seen.current_scale:
        return zero.Verdict(Step(high, Because.MAX_SCALE), wait_s=left_s)
    return zero.Verdict(Step(seen.current_scale, Because.WINDOW_NOT_FULL), wait_s=left_s)


def bounds(spec: ScalingSpec, memory: Memory) -> tuple[int, int]:
    """Return (lowest, highest) number of pods; highest 0 is no limit.

    The minimum holds only while traffic can reach the revision. The initial scale is a minimum until reached once, and
    until then lifts a maximum below it.
    """
    low = spec.min_scale if spec.is_reachable else 0
    if spec.initial_scale > 1 and spec.is_reachable and not memory.is_initialized:
        low = max(low, spec.initial_scale)
    return low, max(spec.max_scale, low) if spec.max_scale else 0


def apply_bounds(spec: ScalingSpec, seen: Observation, step: Step, memory: Memory) -> Step:
    """Hold the step within the bounds.

    No opinion stays none, except while the revision is activating, or where it is at zero and has a minimum: then its
    minimum is asked for.
    """
    low, high = bounds(spec, memory)
    if step.pods < 0 and memory.activity is not Activity.ACTIVATING:
        is_asleep = memory.activity is Activity.INACTIVE and seen.current_scale == 0
        return Step(low, _low_reason(spec, low)) if is_asleep and low > 0 else step
    if step.pods < low:
        return Step(low, _low_reason(spec, low))
    if 0 < high < step.pods:
        is_maximum = high == spec.max_scale
        maximum = Because.SCHEDULE if spec.is_max_scheduled else Because.MAX_SCALE
        return Step(high, maximum if is_maximum else Because.INITIAL_SCALE)
    return step


def keep_warm(spec: ScalingSpec, seen: Observation, step: Step, memory: Memory) -> Step:
    """Where the step is zero, or nothing is known at zero, keep or start what pre-warming asks for."""
    is_none = step.pods == 0 or (step.pods < 0 and memory.activity is Activity.INACTIVE)
    if not is_none or seen.prewarm_pods == 0 or not spec.is_reachable:
        return step
    _, high = bounds(spec, memory)
    return Step(min(seen.prewarm_pods, high) if high else seen.prewarm_pods, Because.PREWARM)


def _low_reason(spec: ScalingSpec, low: int) -> Because:
    if low > spec.min_scale:
        return Because.INITIAL_SCALE
    return Because.SCHEDULE if spec.is_min_scheduled else Because.MIN_SCALE


def _decision(
    spec: ScalingSpec,
    seen: Observation,
    load: Load | None,
    limits: Limits,
    ask: load_rules.Ask | None,
    verdict: zero.Verdict,
    memory: Memory,
    before: Memory,
) -> Decision:
    low, high = bounds(spec, before)
    excess = memory.excess_burst_capacity
    is_panicking = memory.panic_at is not None
    is_other = ask is not None and (ask.is_other_panic if is_panicking else ask.is_other_stable)
    values = (0.0, 0.0) if load is None else (load.stable, load.panic)
    if is_other and load is not None:
        values = load.other_stable, load.other_panic
    return Decision(
        namespace=seen.namespace,
        revision=seen.revision,
        unix_s=seen.unix_s,
        desired=verdict.step.pods,
        because=verdict.step.because,
        sentence="",
        metric=spec.other_metric if is_other else spec.metric,
        stable_value=values[0],
        panic_value=values[1],
        target=spec.other_target if is_other else spec.target,
        total=spec.other_total if is_other else spec.total,
        ready_pods=seen.ready_pods,
        not_ready_pods=seen.not_ready_pods,
        current_scale=seen.current_scale,
        stable_pods=ask.raw_stable if ask else NO_OPINION,
        panic_pods=ask.raw_panic if ask else NO_OPINION,
        is_panicking=is_panicking,
        min_scale=low,
        max_scale=high,
        max_scale_up=limits.up,
        max_scale_down=limits.down,
        excess_burst_capacity=(
            load_rules.excess_burst_capacity(spec, spec.initial_scale, 0.0) if excess is None else excess
        ),
        serving_mode=memory.serving_mode or ServingMode.PROXY,
        is_poked=seen.is_poked,
        next_change_s=verdict.wait_s,
        is_applied=verdict.is_applied,
        waiting=seen.waiting,
        activity=memory.activity,
        activity_reason=memory.activity_reason,
        is_initialized=memory.is_initialized,
        starting_pods=seen.starting_pods,
        start_s=seen.start_s,
        activators=load_rules.activators_needed(spec, seen.ready_pods),
    )
