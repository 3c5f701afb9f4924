"""From load to a number of pods: the first half of a decision, up to what load alone asks for now.

Formulas and their order are Knative's (its autoscaler's Scale): both windows are turned into pods, held within the rate
limits, lifted to the activation scale; panic then keeps the highest number seen. What holds a number back after that is
in `delays`. `tests/specs` is the readable reference, docs/autoscaling.md the list of settings. Bounds and zero come
later, in `decide` and `zero`.
"""

from __future__ import annotations

import math

import msgspec
from msgspec.structs import replace

from autoscaler.state import PODS_MAX, Memory, Observation, Step
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because

ALWAYS_PROXY = -1.0
ACTIVATORS_MIN = 2


class Load(msgspec.Struct, frozen=True):
    """Averages over the two windows, in requests in flight or requests per second; `other_*`: of the second metric."""

    stable: float
    panic: float
    is_waiting: bool = False
    other_stable: float = 0.0
    other_panic: float = 0.0


class Limits(msgspec.Struct, frozen=True):
    """How far one turn may go down and up from the pods that are ready."""

    down: int
    up: int


class Ask(msgspec.Struct, frozen=True):
    """Pods asked for by each window; `raw_*` before any limit. `is_other_*`: the second metric asked for more."""

    raw_stable: int
    raw_panic: int
    stable: Step
    panic: Step
    is_other_stable: bool = False
    is_other_panic: bool = False


def load_of(spec: ScalingSpec, seen: Observation, memory: Memory) -> Load | None:
    """Return the load to decide on, or None where nothing is known.

    Requests that wait at zero, or on the way there, count at once, before any window has them. A revision whose
    activator never leaves the path (target burst capacity -1) is idle when nobody reports: no data means no load there.
    The same holds where pods were asked for, none is ready to report, and no activator says that anybody waits: such an
    activation is nobody's any more, and is given up after its deadline.
    """
    stable, panic = seen.stable_value, seen.panic_value
    if stable is None or panic is None:
        is_abandoned = memory.activity is Activity.ACTIVATING and memory.wanted > 0 and seen.ready_pods == 0
        is_silence_idle = is_abandoned or spec.target_burst_capacity == ALWAYS_PROXY
        stable = panic = 0.0 if is_silence_idle else None
    other = seen.other_stable_value or 0.0, seen.other_panic_value or 0.0
    is_zero = seen.ready_pods == 0 or memory.activity is Activity.INACTIVE
    if seen.waiting > 0 and is_zero:
        waiting = float(seen.waiting)
        is_above = waiting > max(stable or 0.0, panic or 0.0)
        return Load(max(stable or 0.0, waiting), max(panic or 0.0, waiting), is_above, *other)
    return None if stable is None or panic is None else Load(stable, panic, False, *other)


def rate_limits(spec: ScalingSpec, seen: Observation) -> Limits:
    """Return the fewest and most pods of this turn; zero ready pods count as one.

    The upper limit is rounded up: with a rate of 1.1, two pods could otherwise never become three.
    """
    ready = max(1, seen.ready_pods)
    down = math.floor(ready / spec.max_scale_down_rate) if spec.is_reachable else 0
    return Limits(down, math.ceil(min(spec.max_scale_up_rate * ready, float(PODS_MAX))))


def pods_for_load(spec: ScalingSpec, load: Load) -> Ask:
    """Return the pods each window's load needs at the target per pod; of several metrics the highest wins."""
    stable, panic = _pods(load.stable, spec.target), _pods(load.panic, spec.target)
    because = Because.WAITING_REQUEST if load.is_waiting else Because.LOAD
    ask = Ask(stable, panic, Step(stable, because), Step(panic, because))
    if not spec.other_metric:
        return ask
    other_stable, other_panic = _pods(load.other_stable, spec.other_target), _pods(load.other_panic, spec.other_target)
    if other_stable > stable:
        ask = replace(ask, raw_stable=other_stable, stable=Step(other_stable, Because.LOAD), is_other_stable=True)
    if other_panic > panic:
        ask = replace(ask, raw_panic=other_panic, panic=Step(other_panic, Because.LOAD), is_other_panic=True)
    return ask


def limit_rates(limits: Limits, ask: Ask) -> Ask:
    """Hold both windows' pods within the rate limits."""
    return replace(ask, stable=_clamp(ask.stable, limits), panic=_clamp(ask.panic, limits))


def lift_to_activation_scale(spec: ScalingSpec, ask: Ask) -> Ask:
    """Raise to the activation scale where there is load at all; the rate limits do not hold it back."""
    scale = spec.activation_scale
    if scale <= 1:
        return ask
    stable, panic = ask.stable, ask.panic
    if ask.raw_stable > 0 and scale > stable.pods:
        stable = Step(scale, Because.ACTIVATION_SCALE)
    if ask.raw_panic > 0 and scale > panic.pods:
        panic = Step(scale, Because.ACTIVATION_SCALE)
    return replace(ask, stable=stable, panic=panic)


def watch_panic(spec: ScalingSpec, seen: Observation, ask: Ask, memory: Memory, now: float) -> Memory:
    """Enter, prolong or leave panic.

    Over the threshold: the panic window asks for at least `panic_threshold` times the pods that are ready or, where
    panic is paced, starting: what is on its way needs no second alarm. Panic ends when the last such turn is a whole
    stable window past.
    """
    pods = seen.ready_pods + (seen.starting_pods if spec.is_panic_paced else 0)
    if ask.raw_panic / max(1, pods) >= spec.panic_threshold:
        return replace(memory, panic_at=now)
    if memory.panic_at is not None and now - memory.panic_at > spec.stable_window_s:
        return replace(memory, panic_at=None, panic_pods=0)
    return memory


def choose_window(ask: Ask, memory: Memory) -> tuple[Step, Memory]:
    """Take the stable window's pods; in panic the higher of both, and never fewer than panic has asked for before."""
    if memory.panic_at is None:
        return ask.stable, memory
    step = ask.stable
    if ask.panic.pods > step.pods:
        is_lifted = ask.panic.because is not Because.LOAD
        step = ask.panic if is_lifted else Step(ask.panic.pods, Because.PANIC)
    step = step.to(max(step.pods, memory.panic_pods), Because.PANIC)
    return step, replace(memory, panic_pods=step.pods)


def excess_burst_capacity(spec: ScalingSpec, ready_pods: int, panic_value: float) -> int:
    """Return the requests the ready pods could take beyond the present load and the target burst; negative: too few.

    Uses the capacity of a pod without utilization, and the ready pods as they are (none is none).
    """
    if spec.target_burst_capacity == 0:
        return 0
    if spec.target_burst_capacity < 0:
        return -1
    excess = ready_pods * spec.total - spec.target_burst_capacity - panic_value
    return math.floor(max(-float(PODS_MAX), min(float(PODS_MAX), excess)))


def activators_needed(spec: ScalingSpec, ready_pods: int) -> int:
    """Return how many activators should stand in the path of a revision: enough for its capacity and the burst."""
    if spec.target_burst_capacity == 0:
        return ACTIVATORS_MIN
    requests = ready_pods * spec.total + max(spec.target_burst_capacity, 0.0)
    return max(ACTIVATORS_MIN, math.ceil(min(requests / spec.activator_capacity, float(PODS_MAX))))


def _pods(value: float, target: float) -> int:
    if not value > 0:  # also for nan
        return 0
    return math.ceil(min(value / target, float(PODS_MAX)))


def _clamp(step: Step, limits: Limits) -> Step:
    if step.pods > limits.up:
        return Step(limits.up, Because.SCALE_UP_RATE)
    if step.pods < limits.down:
        return Step(min(limits.down, limits.up), Because.SCALE_DOWN_RATE)
    return step
