"""The rules from the bounds on as columns: `decide.apply_bounds` to `zero.remember`. Pure.

Each function is the rule of the same name there, and changes the rows' memory in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.fleet_load import NONE, excess_burst_capacity
from autoscaler.fleet_rows import Array, Rows
from autoscaler.fleet_state import (
    ACTIVATING,
    ACTIVE,
    CODE,
    INACTIVE,
    NO_REASON,
    NO_TRAFFIC,
    NOTHING,
    PROXY,
    QUEUED,
    SERVE,
    TIMED_OUT,
    UNKNOWN,
)
from autoscaler.state import NO_OPINION
from autoscaler.zero import ACTIVATION_MARGIN_S
from tidegate.contracts.decision import Because


def bounds(rows: Rows) -> None:
    """See `decide.bounds`."""
    spec = rows.spec
    low = spec.min_scale * spec.is_reachable
    is_initial = (spec.initial_scale > 1) & spec.is_reachable & ~rows.is_initialized
    rows.min_scale = np.where(is_initial, np.maximum(low, spec.initial_scale), low)
    rows.max_scale = np.where(spec.max_scale > 0, np.maximum(spec.max_scale, rows.min_scale), 0)


def apply_bounds(rows: Rows) -> None:
    """Bounds, then pre-warming."""
    bounds(rows)
    spec, pods, low, high = rows.spec, rows.pods, rows.min_scale, rows.max_scale
    is_inactive = rows.activity == INACTIVE
    is_asleep = is_inactive & (rows.current_scale == 0) & (low > 0)
    is_bound = (pods >= 0) | (rows.activity == ACTIVATING)
    is_low = (pods < low) & (is_bound | is_asleep)
    is_high = is_bound & ~is_low & (high > 0) & (pods > high)
    if is_low.any():
        minimum = np.where(spec.is_min_scheduled, CODE[Because.SCHEDULE], CODE[Because.MIN_SCALE])
        because = np.where(low > spec.min_scale, CODE[Because.INITIAL_SCALE], minimum)
        rows.pods, rows.because = np.where(is_low, low, rows.pods), np.where(is_low, because, rows.because)
    if is_high.any():
        maximum = np.where(spec.is_max_scheduled, CODE[Because.SCHEDULE], CODE[Because.MAX_SCALE])
        because = np.where(high == spec.max_scale, maximum, CODE[Because.INITIAL_SCALE])
        rows.pods, rows.because = np.where(is_high, high, rows.pods), np.where(is_high, because, rows.because)
    if rows.prewarm_pods.any():
        is_none = (rows.pods == 0) | ((rows.pods < 0) & is_inactive)
        is_warm = is_none & (rows.prewarm_pods > 0) & spec.is_reachable
        warm = np.where(high > 0, np.minimum(rows.prewarm_pods, high), rows.prewarm_pods)
        rows.pods = np.where(is_warm, warm, rows.pods)
        rows.because = np.where(is_warm, CODE[Because.PREWARM], rows.because)


def zero_sequence(rows: Rows) -> None:
    """See `zero.zero_sequence`."""
    spec = rows.spec
    rows.is_applied = rows.pods >= 0
    where = np.flatnonzero(rows.pods == 0)
    if not len(where):
        return

    def at(values: Any) -> Any:
        return values[where] if np.ndim(values) else values

    for_s = rows.now - at(rows.activity_since)
    activity = at(rows.activity)
    pods = np.zeros(len(where), np.int64)
    because = np.full(len(where), CODE[Because.IDLE])
    is_applied = np.ones(len(where), np.bool_)
    wait_s = np.full(len(where), -1.0)

    def settle(mask: Array, to: int, reason: Because, applied: bool, wait: Any) -> None:
        pods[mask], because[mask], is_applied[mask] = to, CODE[reason], applied
        wait_s[mask] = wait[mask] if np.ndim(wait) else wait

    is_on = np.broadcast_to(at(spec.is_scale_to_zero_enabled), activity.shape)
    settle(~is_on, 1, Because.SCALE_TO_ZERO_DISABLED, True, -1.0)
    left_s = at(spec.progress_deadline_s) + ACTIVATION_MARGIN_S - for_s
    activating = is_on & (activity == ACTIVATING)
    settle(activating & (left_s < 0), 0, Because.ACTIVATION_FAILED, True, -1.0)
    settle(activating & ~(left_s < 0), NO_OPINION, Because.ACTIVATING, False, left_s)
    left_s = at(spec.stable_window_s) - for_s
    active = is_on & (activity == ACTIVE)
    settle(active & (left_s > 0), 1, Because.ZERO_STABLE_WINDOW, True, left_s)
    settle(active & ~(left_s > 0), 0, Because.ZERO_GRACE, False, 0.0)
    grace_s = at(spec.grace_s)
    retention_s = at(spec.retention_s) * at(spec.is_reachable)
    stays = is_on & (activity == INACTIVE) & (at(rows.current_scale) != 0)
    stays &= ~(for_s >= np.maximum(grace_s, retention_s))
    is_retained = stays & (for_s < retention_s)
    settle(is_retained, 0, Because.POD_RETENTION, False, retention_s - for_s)
    proxied_for_s = rows.now - at(rows.proxy_since)
    proxied_for_s = np.where(np.isnan(proxied_for_s), 0.0, proxied_for_s)
    is_grace = stays & ~is_retained & ~(proxied_for_s >= grace_s)
    settle(is_grace, 0, Because.ZERO_GRACE, False, np.minimum(grace_s - proxied_for_s, grace_s - for_s))
    rows.pods, rows.because = rows.pods.copy(), rows.because.copy()
    rows.pods[where], rows.because[where] = pods, because
    rows.is_applied[where], rows.wait_s[where] = is_applied, wait_s


def hold_until_window_full(rows: Rows) -> None:
    """See `decide.hold_until_window_full`."""
    if not rows.is_restored.any():
        return
    left_s = rows.began_at + rows.spec.stable_window_s - rows.now
    failed = rows.because == CODE[Because.ACTIVATION_FAILED]
    holds = rows.is_restored & ~(left_s <= 0) & ~failed & (rows.pods >= 0) & (rows.pods < rows.current_scale)
    is_cut = holds & (rows.max_scale > 0) & (rows.max_scale < rows.current_scale)
    held = np.where(is_cut, rows.max_scale, rows.current_scale)
    because = np.where(is_cut, CODE[Because.MAX_SCALE], CODE[Because.WINDOW_NOT_FULL])
    rows.pods = np.where(holds, held, rows.pods)
    rows.because = np.where(holds, because, rows.because)
    rows.is_applied = rows.is_applied | holds
    rows.wait_s = np.where(holds, left_s, rows.wait_s)


def last_pod_wait(rows: Rows) -> None:
    """Tell how long the last pod stays."""
    is_held = rows.because == CODE[Because.LAST_POD_DELAY]
    if is_held.any():
        left_s = rows.spec.last_pod_delay_s - (rows.now - rows.loaded_at)
        rows.wait_s = np.where(is_held, left_s, rows.wait_s)


def serving_mode(rows: Rows) -> None:
    """See `zero.serving_mode`."""
    spec, before = rows.spec, rows.serving_mode
    initial = excess_burst_capacity(spec, spec.initial_scale, 0.0)
    is_unknown = rows.excess_burst_capacity == NOTHING
    rows.shown_excess = np.where(is_unknown, initial, rows.excess_burst_capacity)
    mode = np.where(rows.shown_excess < 0, PROXY, SERVE)
    mode = np.where(is_unknown & (before != UNKNOWN), before, mode)
    is_proxied = (rows.pods == 0) | ((rows.pods < 0) & (rows.activity == INACTIVE))
    rows.columns["serving_mode"] = np.where(is_proxied, PROXY, mode)


def remember(rows: Rows) -> None:
    """See `zero.remember`."""
    spec, columns, pods, now = rows.spec, rows.columns, rows.pods, rows.now
    was_inactive, was_activating = rows.activity == INACTIVE, rows.activity == ACTIVATING
    minimum = spec.min_scale * spec.is_reachable
    initial = np.maximum(minimum, spec.initial_scale)
    threshold = np.where(rows.is_initialized, np.maximum(minimum, 1), initial)
    has_enough = rows.ready_pods >= threshold
    activity = np.where(has_enough, ACTIVE, ACTIVATING)
    reason = np.where(has_enough, NO_REASON, QUEUED)
    stays = (pods < 0) & was_inactive
    kept = np.where(has_enough, rows.activity_reason, NO_REASON)
    activity = np.where(stays, INACTIVE, activity)
    reason = np.where(stays, np.where(kept == NO_REASON, NO_TRAFFIC, kept), reason)
    is_none = (pods == 0) | (threshold == 0)
    failed = (pods == 0) & was_activating & (threshold > 0)
    activity = np.where(is_none, INACTIVE, activity)
    reason = np.where(is_none, np.where(failed, TIMED_OUT, NO_TRAFFIC), reason)
    columns["activity_since"] = np.where(activity == rows.activity, rows.activity_since, now)
    columns["activity"], columns["activity_reason"] = activity, reason
    columns["is_initialized"] = rows.is_initialized | (rows.ready_pods >= initial)
    is_proxy = rows.serving_mode == PROXY
    since = np.where(np.isnan(rows.proxy_since), now, rows.proxy_since)
    columns["proxy_since"] = np.where(is_proxy, since, NONE)
