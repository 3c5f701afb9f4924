"""A decision as one sentence with its inputs, and what would change it next. Pure: reads a Decision, adds two texts."""

from __future__ import annotations

import msgspec

from tidegate.contracts.decision import Activity, Because, Decision

_WHY = {
    Because.NO_DATA: "nobody has reported load yet, so the last number stays",
    Because.LOAD: "{load} over {window} need {needed} at {target} each",
    Because.PANIC: "panic: {panic_load} in the panic window need {panic_needed}; in panic the number never falls",
    Because.SCALE_UP_RATE: "load asks for more, but one turn may not go above {max_scale_up} from {ready} ready",
    Because.SCALE_DOWN_RATE: "load asks for fewer, but one turn may not go below {max_scale_down} from {ready} ready",
    Because.ACTIVATION_SCALE: "there is load, and the activation scale asks for at least this many",
    Because.START_TIME: "load asks for more, but while pods start, in {start_s} each, their number at most doubles",
    Because.SCALE_DOWN_DELAY: "load asks for fewer, but the scale-down delay keeps the highest recent number",
    Because.LAST_POD_DELAY: "no load, but the last pod has a delay of its own",
    Because.WINDOW_NOT_FULL: "the autoscaler restarted and has not seen a whole stable window; nothing is taken away",
    Because.MIN_SCALE: "min-scale is {min_scale}",
    Because.INITIAL_SCALE: "the initial scale of {min_scale} has not been reached yet",
    Because.MAX_SCALE: "max-scale is {max_scale}, though load asks for more",
    Because.SCHEDULE: "the schedule bounds it to {min_scale} or more, and {at_most}",
    Because.PREWARM: "idle, but going by its idle times the next request is near",
    Because.WAITING_REQUEST: "{waiting} {waiting_verb} in the activator with no pod ready",
    Because.ACTIVATING: "pods are starting, so the scale stays",
    Because.ACTIVATION_FAILED: "no pod became ready before the progress deadline",
    Because.SCALE_TO_ZERO_DISABLED: "idle, but scale to zero is disabled",
    Because.ZERO_STABLE_WINDOW: "idle, but active for less than the stable window",
    Because.ZERO_GRACE: "idle; requests already go through the activator, the last pods stay for the grace period",
    Because.POD_RETENTION: "idle; the pod retention period keeps the last pods",
    Because.IDLE: "no load in the stable window",
}

_ACTIVITY = {
    Activity.ACTIVATING: "activating",
    Activity.ACTIVE: "active",
    Activity.INACTIVE: "inactive",
}


def explain(decision: Decision) -> Decision:
    """Return the decision with `sentence` and `next_change` filled in."""
    return msgspec.structs.replace(decision, sentence=sentence(decision), next_change=next_change(decision))


def sentence(decision: Decision) -> str:
    """Return the decision as one sentence: the number, why, and the inputs."""
    why = _WHY[decision.because].format(
        load=_load(decision, decision.stable_value),
        panic_load=_load(decision, decision.panic_value),
        window="the stable window",
        needed=_pods(decision.stable_pods),
        panic_needed=_pods(decision.panic_pods),
        target=f"{decision.target:g}",
        ready=decision.ready_pods,
        max_scale_up=decision.max_scale_up,
        max_scale_down=decision.max_scale_down,
        min_scale=decision.min_scale,
        max_scale=decision.max_scale,
        at_most=f"{decision.max_scale} or fewer" if decision.max_scale else "without a maximum",
        start_s=f"{decision.start_s:.1f} s",
        waiting=_count(decision.waiting, "request"),
        waiting_verb="waits" if decision.waiting == 1 else "wait",
    )
    return f"{_head(decision)}: {why} ({_inputs(decision)})."


def next_change(decision: Decision) -> str:
    """Return what would change the number next, as a sentence."""
    left = f"{max(0.0, decision.next_change_s):.0f} s"
    match decision.because:
        case Because.ACTIVATING:
            return f"A ready pod, or giving up in {left}."
        case Because.ZERO_STABLE_WINDOW:
            return f"Zero is announced in {left} if it stays idle."
        case Because.ZERO_GRACE | Because.POD_RETENTION:
            return f"The pods go in {left} if no request comes." if decision.next_change_s > 0 else "The grace period."
        case Because.LAST_POD_DELAY:
            return f"The last pod's delay ends in {left} if it stays idle."
        case Because.START_TIME:
            return f"The pods that start becoming ready, or {left} passing."
        case Because.WINDOW_NOT_FULL:
            return f"Scaling down is possible again in {left}."
        case Because.IDLE | Because.ACTIVATION_FAILED:
            return "The next request."
        case Because.NO_DATA:
            return "The first report of load."
        case Because.MAX_SCALE:
            return f"Load below {decision.max_scale * decision.target:g}, or a higher max-scale."
        case _:
            return _other_change(decision, left)


def _other_change(decision: Decision, left: str) -> str:
    """See `next_change`: the rules that more load moves at once, and less load not, or not yet."""
    above = f"{decision.desired * decision.target:g}"
    match decision.because:
        case Because.PANIC:
            return f"More load at once; fewer pods only after panic, which ends in {left} if load stays as it is."
        case Because.SCALE_DOWN_DELAY:
            return f"The delay lets go of this number in {left} if load stays as it is; more load counts at once."
        case Because.SCALE_UP_RATE:
            return "The next pod that becomes ready: the limit of a turn counts from ready pods."
        case Because.SCALE_DOWN_RATE:
            return "The next turn, within 2 s."
        case Because.MIN_SCALE:
            return f"Load above {above}, or a lower min-scale."
        case Because.INITIAL_SCALE:
            return f"{_pods(decision.min_scale)} ready: then load decides."
        case Because.SCHEDULE:
            return f"The schedule, in {left}." if decision.next_change_s >= 0 else "The next change of the schedule."
        case Because.PREWARM:
            when = f", or {left} without one" if decision.next_change_s >= 0 else ""
            return f"The next request{when}."
        case Because.WAITING_REQUEST:
            return f"A ready pod, or more than {above} requests waiting."
        case Because.SCALE_TO_ZERO_DISABLED:
            return f"Load above {above}, or enable-scale-to-zero in config-autoscaler."
        case _:
            return _load_borders(decision)


def _head(decision: Decision) -> str:
    if decision.desired < 0:
        return f"Stay at {_pods(decision.current_scale)}"
    if not decision.is_applied:
        return f"{_pods(decision.desired)} announced, {_pods(decision.current_scale)} kept"
    return _pods(decision.desired)


def _inputs(decision: Decision) -> str:
    state = "panicking, " if decision.is_panicking else ""
    return (
        f"{state}stable {decision.stable_value:g}, panic {decision.panic_value:g}, target {decision.target:g}, "
        f"{decision.ready_pods} ready, {decision.not_ready_pods} not ready, asked so far {decision.current_scale}, "
        f"excess burst capacity {decision.excess_burst_capacity}, mode {decision.serving_mode}, "
        f"{_ACTIVITY[decision.activity]}"
    )


def _load_borders(decision: Decision) -> str:
    if decision.desired < 1:
        return "The next request."
    above = f"Load above {decision.desired * decision.target:g}"
    if decision.is_panicking:
        left = f"{max(0.0, decision.next_change_s):.0f} s"
        return above + f" (now {decision.stable_value:g}); fewer pods only after panic, which ends in {left}."
    below = f", or below {(decision.desired - 1) * decision.target:g}" if decision.desired > 1 else ", or none at all"
    return above + below + f" (now {decision.stable_value:g})."


def _load(decision: Decision, value: float) -> str:
    return f"{value:g} requests {'per second' if decision.metric == 'rps' else 'in flight'}"


def _pods(count: int) -> str:
    return _count(count, "pod")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
