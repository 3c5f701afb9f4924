"""The way to zero and back: what happens where a decision asks for no pods, and whether the revision counts as active.

Zero is reached in two phases. First it is announced: the revision becomes inactive and its requests go through the
activator. The pods go only after that has held for the grace period, so that no request meets a pod that is leaving.
The switch is a table swap in gateways that watch it, so "the activator has been in the path for the grace period" is
the guard here, where Knative probes the route.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from autoscaler.load import excess_burst_capacity
from autoscaler.state import NO_OPINION, Memory, Observation, Step
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because, ServingMode

ACTIVATION_MARGIN_S = 30.0
"""Added to the progress deadline before an activation counts as failed."""

QUEUED = "Queued"
NO_TRAFFIC = "NoTraffic"
TIMED_OUT = "TimedOut"


class Verdict(msgspec.Struct, frozen=True):
    """A step, whether pods follow it now, and the seconds until the rule that holds it lets go (-1: none holds it)."""

    step: Step
    is_applied: bool = True
    wait_s: float = -1.0


def zero_sequence(spec: ScalingSpec, seen: Observation, step: Step, memory: Memory, now: float) -> Verdict:
    """Return what a wish for `step` comes to; only a wish for zero is looked at."""
    if step.pods < 0:
        return Verdict(step, is_applied=False)
    if step.pods > 0:
        return Verdict(step)
    if not spec.is_scale_to_zero_enabled:
        return Verdict(Step(1, Because.SCALE_TO_ZERO_DISABLED))
    for_s = now - memory.activity_since
    if memory.activity is Activity.ACTIVATING:
        return _while_activating(spec, for_s)
    if memory.activity is Activity.ACTIVE:
        return _while_active(spec, step, for_s)
    return _while_inactive(spec, seen, step, memory, for_s, now)


def _while_activating(spec: ScalingSpec, for_s: float) -> Verdict:
    left_s = spec.progress_deadline_s + ACTIVATION_MARGIN_S - for_s
    if left_s < 0:
        return Verdict(Step(0, Because.ACTIVATION_FAILED))
    return Verdict(Step(NO_OPINION, Because.ACTIVATING), is_applied=False, wait_s=left_s)


def _while_active(spec: ScalingSpec, step: Step, for_s: float) -> Verdict:
    left_s = spec.stable_window_s - for_s
    if left_s > 0:
        return Verdict(Step(1, Because.ZERO_STABLE_WINDOW), wait_s=left_s)
    return Verdict(replace(step, because=Because.ZERO_GRACE), is_applied=False, wait_s=0.0)


def _while_inactive(
    spec: ScalingSpec, seen: Observation, step: Step, memory: Memory, for_s: float, now: float
) -> Verdict:
    gone = Verdict(replace(step, because=Because.IDLE))
    if seen.current_scale == 0:
        return gone
    retention_s = spec.retention_s if spec.is_reachable else 0.0
    if for_s >= max(spec.grace_s, retention_s):
        return gone
    if for_s < retention_s:
        return Verdict(Step(0, Because.POD_RETENTION), is_applied=False, wait_s=retention_s - for_s)
    proxied_for_s = 0.0 if memory.proxy_since is None else now - memory.proxy_since
    if proxied_for_s >= spec.grace_s:
        return gone
    left_s = min(spec.grace_s - proxied_for_s, spec.grace_s - for_s)
    return Verdict(Step(0, Because.ZERO_GRACE), is_applied=False, wait_s=left_s)


def serving_mode(spec: ScalingSpec, desired: int, memory: Memory) -> ServingMode:
    """Return where requests go: to the pods only while pods are wanted and can take the target burst.

    Before the first data the mode of a former process stays; a new revision is judged by its initial scale.
    """
    if desired == 0 or (desired < 0 and memory.activity is Activity.INACTIVE):
        return ServingMode.PROXY
    excess = memory.excess_burst_capacity
    if excess is None:
        if memory.serving_mode is not None:
            return memory.serving_mode
        excess = excess_burst_capacity(spec, spec.initial_scale, 0.0)
    return ServingMode.PROXY if excess < 0 else ServingMode.SERVE


def active_threshold(spec: ScalingSpec, is_initialized: bool) -> int:
    """Return the ready pods from which a revision is active (and, the first time, initialised)."""
    minimum = spec.min_scale if spec.is_reachable else 0
    return max(minimum, 1) if is_initialized else max(minimum, spec.initial_scale)


def next_activity(spec: ScalingSpec, seen: Observation, desired: int, memory: Memory) -> tuple[Activity, str]:
    """Return whether the revision is active after this turn, and the reason that its condition shows."""
    threshold = active_threshold(spec, memory.is_initialized)
    was_inactive = memory.activity is Activity.INACTIVE
    if desired == 0 and memory.activity is Activity.ACTIVATING and threshold > 0:
        return Activity.INACTIVE, TIMED_OUT
    if desired == 0 or threshold == 0:
        return Activity.INACTIVE, NO_TRAFFIC
    has_enough = seen.ready_pods >= threshold
    if desired < 0 and was_inactive:
        return Activity.INACTIVE, (memory.activity_reason if has_enough else "") or NO_TRAFFIC
    return (Activity.ACTIVE, "") if has_enough else (Activity.ACTIVATING, QUEUED)


def remember(
    spec: ScalingSpec, seen: Observation, desired: int, mode: ServingMode, memory: Memory, now: float
) -> Memory:
    """Return the memory with activity, initialisation and serving mode after this turn."""
    activity, reason = next_activity(spec, seen, desired, memory)
    since = memory.activity_since if activity is memory.activity else now
    proxy_since = None
    if mode is ServingMode.PROXY:
        proxy_since = now if memory.proxy_since is None else memory.proxy_since
    return replace(
        memory,
        activity=activity,
        activity_reason=reason,
        activity_since=since,
        # Once its pods have reached the threshold a revision is initialised, and stays so for ever.
        is_initialized=memory.is_initialized or seen.ready_pods >= active_threshold(spec, is_initialized=False),
        serving_mode=mode,
        proxy_since=proxy_since,
    )
