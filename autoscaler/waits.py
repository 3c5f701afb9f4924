"""When the rule that holds a number of pods lets go, for the explanation only: no decision depends on it. Pure.

Asked where a full Decision is built, in both forms of the decision; a turn that brings nothing new pays nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from autoscaler.delays import DELAY_BUCKET_S, surge_lasts_s
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Because

Delayed = Callable[[], tuple[tuple[int, int], ...]]


def next_change_s(
    spec: ScalingSpec,
    because: Because,
    wait_s: float,
    now: float,
    *,
    panic_at: float | None,
    surge_at: float | None,
    start_s: float,
    delayed: Delayed,
) -> float:
    """Return the seconds until the rule `because` lets go if load stays as it is; -1: no time would change anything.

    `wait_s` is what the rules of the way to zero have said already; it wins where it is not negative. `delayed` gives
    the pairs of the scale-down delay as in `state.Memory`; the others are of the Memory and the Observation.
    """
    if wait_s >= 0:
        return wait_s
    if because is Because.SCALE_DOWN_DELAY and (pairs := delayed()):
        gone_at = (pairs[0][0] + math.ceil(spec.scale_down_delay_s / DELAY_BUCKET_S)) * DELAY_BUCKET_S
        return max(0.0, gone_at - now)
    if because is Because.START_TIME and surge_at is not None:
        left_s = surge_at + surge_lasts_s(spec, start_s) - now
        return left_s if left_s > 0 else max(0.0, left_s + spec.stable_window_s)
    if because in (Because.PANIC, Because.LOAD) and panic_at is not None:
        return max(0.0, panic_at + spec.stable_window_s - now)
    return wait_s
