"""What holds back a number of pods that load asks for: start time, scale-down delay, last pod, pace of falling.

Each rule takes the step and the memory and returns both. A rule that is not set leaves everything as it is, so that the
numbers are Knative's until somebody asks for more. `tests/specs` is the readable reference.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from autoscaler.load import Ask
from autoscaler.state import PODS_MAX, Memory, Observation, Step
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Because

DELAY_BUCKET_S = 2.0
STEP_S = 1.9
"""Two seconds, less what a timer may be early."""
GROWTH_PER_START = 2
"""How many times the pods may become within the time that a start takes."""
GROWTH_MIN_PODS = 20
"""By how many pods the number may grow in that time in any case."""
BURST_S = 0.5
"""Requests that come within this time belong to one burst: what they ask for counts as there."""


def pace_growth(spec: ScalingSpec, seen: Observation, ask: Ask, memory: Memory, now: float) -> tuple[Ask, Memory]:
    """While pods start, let their number at most double until they could show what they do.

    Requests that pile up while pods start read as load, but vanish when the pods come. So what is asked for at first
    (within `BURST_S`) is free; from then on the number may double once, or grow by `GROWTH_MIN_PODS`, in the measured
    start time and as long again (a panic window at most), in which the pile shrinks. Where pods still start then, the
    same begins anew from what is there. Until a stable window after that, what the stable window remembers of the pile
    asks for nothing that the panic window does not. A start time that nobody has measured yet limits nothing.
    """
    if not spec.is_panic_paced or seen.start_s <= 0:
        return ask, _without_surge(memory)
    there = min(PODS_MAX, max(seen.ready_pods + seen.starting_pods, seen.current_scale))
    lasts_s = surge_lasts_s(spec, seen.start_s)
    age_s = -1.0 if memory.surge_at is None else now - memory.surge_at
    is_remembered = BURST_S <= age_s < lasts_s + spec.stable_window_s
    if is_remembered:
        ask = replace(ask, stable=_at_most(ask.stable, max(there, ask.panic.pods)))
    asked = max(ask.stable.pods, ask.panic.pods)
    if age_s >= lasts_s:
        if is_remembered and asked <= there:
            return ask, memory
        memory = _without_surge(memory)
    if memory.surge_at is None:
        if asked <= there:
            return ask, memory
        if seen.starting_pods == 0:
            return ask, replace(memory, surge_at=now, surge_pods=asked)
        # Pods are on their way already: this is no first ask, and no burst follows it.
        memory = replace(memory, surge_at=now - 2 * BURST_S, surge_pods=there)
    assert memory.surge_at is not None
    if now - memory.surge_at < BURST_S:
        return ask, replace(memory, surge_pods=max(memory.surge_pods, asked))
    most = min(PODS_MAX, max(GROWTH_PER_START * memory.surge_pods, memory.surge_pods + GROWTH_MIN_PODS))
    return replace(ask, stable=_at_most(ask.stable, most), panic=_at_most(ask.panic, most)), memory


def surge_lasts_s(spec: ScalingSpec, start_s: float) -> float:
    """Return the seconds that growth is held back: a measured start, and as long again for the pile to shrink."""
    return start_s + min(start_s, spec.panic_window_s)


def delay_scale_down(spec: ScalingSpec, step: Step, memory: Memory, now: float) -> tuple[Step, Memory]:
    """Take the highest number of the last `scale_down_delay_s` seconds, in buckets of two seconds.

    Where the last pod has a delay of its own, this one does not keep it.
    """
    if spec.scale_down_delay_s <= 0 or not spec.is_reachable:
        return step, replace(memory, delayed=()) if memory.delayed else memory
    bucket = math.floor(now / DELAY_BUCKET_S)
    oldest = bucket - math.ceil(spec.scale_down_delay_s / DELAY_BUCKET_S) + 1
    # Whatever is older and not higher than the new number can never be the maximum again.
    kept = tuple(pair for pair in memory.delayed if pair[0] >= oldest and pair[1] > step.pods)
    kept += ((bucket, step.pods),)
    memory = replace(memory, delayed=kept)
    if kept[0][1] == 1 and spec.last_pod_delay_s >= 0:
        return step, memory
    return step.to(kept[0][1], Because.SCALE_DOWN_DELAY), memory


def delay_last_pod(
    spec: ScalingSpec, seen: Observation, ask: Ask, step: Step, memory: Memory, now: float
) -> tuple[Step, Memory]:
    """Keep the last pod until no load has asked for one during `last_pod_delay_s` (negative: no such delay)."""
    if spec.last_pod_delay_s < 0 or not spec.is_reachable:
        return step, replace(memory, loaded_at=None)
    if ask.raw_stable > 0 or ask.raw_panic > 0 or (memory.loaded_at is None and seen.current_scale > 0):
        memory = replace(memory, loaded_at=now)
    if step.pods == 0 and seen.current_scale > 0 and last_pod_left_s(spec, memory, now) > 0:
        return Step(1, Because.LAST_POD_DELAY), memory
    return step, memory


def last_pod_left_s(spec: ScalingSpec, memory: Memory, now: float) -> float:
    """Return the seconds that the last pod's delay still runs; 0 or less when it is over."""
    return spec.last_pod_delay_s - (now - memory.loaded_at) if memory.loaded_at is not None else 0.0


def pace_scale_down(spec: ScalingSpec, step: Step, memory: Memory, now: float) -> tuple[Step, Memory]:
    """Let the number fall once in two seconds: the down-rate is per such a step, however many turns there are."""
    if step.pods >= memory.wanted:
        return step, memory
    is_early = memory.lowered_at is not None and now - memory.lowered_at < STEP_S
    if is_early and spec.is_reachable:
        return Step(memory.wanted, Because.SCALE_DOWN_RATE), memory
    return step, replace(memory, lowered_at=now)


def _at_most(step: Step, most: int) -> Step:
    return Step(most, Because.START_TIME) if step.pods > most else step


def _without_surge(memory: Memory) -> Memory:
    return memory if memory.surge_at is None else replace(memory, surge_at=None, surge_pods=0)
