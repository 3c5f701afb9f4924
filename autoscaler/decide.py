"""The scaling decision: read this first. Each arrow of the chain is one function, in the order they apply.

    load → rate limits → activation scale → panic → scale-down delay → pace   (`load`: what load asks for)
         → bounds → zero sequence → restart hold → serving mode → activity    (`zero`: what becomes of it)

`decide` is pure and total: same arguments, same answer, no exception. What one turn must tell the next is the Memory it
returns. -1 pods is "no opinion": the scale stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler import load as load_rules
from autoscaler import zero
from autoscaler.load import Limits, Load
from autoscaler.state import NO_OPINION, Memory, Observation, Step
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because, Decision, ServingMode


def decide(spec: ScalingSpec, seen: Observation, memory: Memory, now: float) -> tuple[Decision, Memory]:
    """Return the decision for one revision at `now` (monotonic seconds), and the memory for its next turn."""
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
        step, memory = load_rules.choose_window(ask, memory)
        step, memory = load_rules.delay_scale_down(spec, step, memory, now)
        step, memory = load_rules.pace_scale_down(spec, step, memory, now)
        excess = load_rules.excess_burst_capacity(spec, seen.ready_pods, load.panic)
        memory = replace(memory, wanted=step.pods, excess_burst_capacity=excess)
    step = apply_bounds(spec, step, memory)
    verdict = zero.zero_sequence(spec, seen, step, memory, now)
    verdict = hold_until_window_full(spec, seen, verdict, memory, now)
    desired = verdict.step.pods
    mode = zero.serving_mode(spec, desired, memory)
    memory = zero.remember(spec, seen, desired, mode, memory, now)
    return _decision(spec, seen, load, limits, ask, verdict, memory, before), memory


def hold_until_window_full(
    spec: ScalingSpec, seen: Observation, verdict: zero.Verdict, memory: Memory, now: float
) -> zero.Verdict:
    """After a restart, keep what runs until a whole stable window has been seen; growing is free.

    It comes last, so that no other rule takes away what this one keeps; only the maximum still holds, and a revision
    that could not be activated goes all the same.
    """
    left_s = memory.began_at + spec.stable_window_s - now
    pods, because = verdict.step.pods, verdict.step.because
    if not memory.is_restored or left_s <= 0 or because is Because.ACTIVATION_FAILED:
        return verdict
    if not 0 <= pods < seen.current_scale:
        return verdict
    return zero.Verdict(apply_bounds(spec, Step(seen.current_scale, Because.WINDOW_NOT_FULL), memory), wait_s=left_s)


def bounds(spec: ScalingSpec, memory: Memory) -> tuple[int, int]:
    """Return (lowest, highest) number of pods; highest 0 is no limit.

    The minimum holds only while traffic can reach the revision. The initial scale is a minimum until reached once, and
    until then lifts a maximum below it.
    """
    low = spec.min_scale if spec.is_reachable else 0
    if spec.initial_scale > 1 and spec.is_reachable and not memory.is_initialized:
        low = max(low, spec.initial_scale)
    return low, max(spec.max_scale, low) if spec.max_scale else 0


def apply_bounds(spec: ScalingSpec, step: Step, memory: Memory) -> Step:
    """Hold the step within the bounds.

    No opinion stays none, except while the revision is activating: then its minimum is asked for.
    """
    if step.pods < 0 and memory.activity is not Activity.ACTIVATING:
        return step
    low, high = bounds(spec, memory)
    if step.pods < low:
        return Step(low, Because.INITIAL_SCALE if low > spec.min_scale else Because.MIN_SCALE)
    if 0 < high < step.pods:
        return Step(high, Because.MAX_SCALE if high == spec.max_scale else Because.INITIAL_SCALE)
    return step


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
    return Decision(
        namespace=seen.namespace,
        revision=seen.revision,
        unix_s=seen.unix_s,
        desired=verdict.step.pods,
        because=verdict.step.because,
        sentence="",
        metric=spec.metric,
        stable_value=load.stable if load else 0.0,
        panic_value=load.panic if load else 0.0,
        target=spec.target,
        total=spec.total,
        ready_pods=seen.ready_pods,
        not_ready_pods=seen.not_ready_pods,
        current_scale=seen.current_scale,
        stable_pods=ask.raw_stable if ask else NO_OPINION,
        panic_pods=ask.raw_panic if ask else NO_OPINION,
        is_panicking=memory.panic_at is not None,
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
    )
