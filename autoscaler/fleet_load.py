"""The rules of `load` and `delays` as columns: from load to the pods that load asks for now. Pure.

Each function is the rule of the same name there, and changes the rows' memory in place. A rule that no row needs is
left out: most turns of most fleets are quiet.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.delays import BURST_S, GROWTH_MIN_PODS, GROWTH_PER_START, STEP_S
from autoscaler.fleet_delays import FleetDelays
from autoscaler.fleet_rows import Array, Rows
from autoscaler.fleet_state import ACTIVATING, CODE, INACTIVE
from autoscaler.load import ALWAYS_PROXY
from autoscaler.spec_table import SpecView
from autoscaler.state import LOAD_MAX, PODS_MAX
from tidegate.contracts.decision import Because

MAX = float(PODS_MAX)
NONE = np.nan
LOAD, PANIC, WAITING = CODE[Because.LOAD], CODE[Because.PANIC], CODE[Because.WAITING_REQUEST]


def load_of(rows: Rows, loads: tuple[Array, Array, Array, Array], waiting: Array) -> None:
    """See `load.load_of`."""
    stable, panic, other_stable, other_panic = (np.minimum(np.maximum(load, 0.0), LOAD_MAX) for load in loads)
    is_missing = np.isnan(stable) | np.isnan(panic)
    if is_missing.any():
        is_abandoned = (rows.activity == ACTIVATING) & (rows.wanted > 0) & (rows.ready_pods == 0)
        is_silence_idle = is_abandoned | (rows.spec.target_burst_capacity == ALWAYS_PROXY)
        stable, panic = np.where(is_missing, 0.0, stable), np.where(is_missing, 0.0, panic)
        rows.is_known = ~is_missing | is_silence_idle
    else:
        rows.is_known = ~is_missing
    counts = (waiting > 0) & ((rows.ready_pods == 0) | (rows.activity == INACTIVE))
    rows.is_waiting = counts
    if counts.any():
        rows.is_waiting = counts & (waiting > np.maximum(stable, panic))
        stable = np.where(counts, np.maximum(stable, waiting), stable)
        panic = np.where(counts, np.maximum(panic, waiting), panic)
        rows.is_known = rows.is_known | counts
    rows.stable, rows.panic = stable, panic
    if np.any(rows.spec.has_other):
        other_stable = np.where(np.isnan(other_stable), 0.0, other_stable)
        other_panic = np.where(np.isnan(other_panic), 0.0, other_panic)
    rows.other_stable, rows.other_panic = other_stable, other_panic


def rate_limits(rows: Rows) -> None:
    """See `load.rate_limits`."""
    ready = np.maximum(rows.ready_pods, 1).astype(np.float64)
    down = np.floor(ready / rows.spec.max_scale_down_rate).astype(np.int64)
    rows.max_scale_down = down * rows.spec.is_reachable
    rows.max_scale_up = np.ceil(np.minimum(rows.spec.max_scale_up_rate * ready, MAX)).astype(np.int64)


def pods_for_load(rows: Rows) -> None:
    """See `load.pods_for_load`."""
    spec = rows.spec
    rows.raw_stable, rows.raw_panic = _pods(rows.stable, spec.target), _pods(rows.panic, spec.target)
    because = np.where(rows.is_waiting, WAITING, LOAD)
    rows.because_stable = rows.because_panic = because
    rows.is_other_stable = rows.is_other_panic = np.zeros(len(because), np.bool_)
    if not np.any(spec.has_other):
        return
    for window in ("stable", "panic"):
        raw = getattr(rows, f"raw_{window}")
        other = np.where(spec.has_other, _pods(getattr(rows, f"other_{window}"), spec.other_target), 0)
        is_other = other > raw
        setattr(rows, f"is_other_{window}", is_other)
        setattr(rows, f"raw_{window}", np.where(is_other, other, raw))
        setattr(rows, f"because_{window}", np.where(is_other, LOAD, because))


def watch_panic(rows: Rows) -> None:
    """See `load.watch_panic`."""
    spec, columns = rows.spec, rows.columns
    pods = rows.ready_pods.astype(np.int64) + np.where(spec.is_panic_paced, rows.starting_pods, 0)
    is_over = rows.is_known & (rows.raw_panic / np.maximum(pods, 1) >= spec.panic_threshold)
    is_done = rows.is_known & ~is_over & (rows.now - rows.panic_at > spec.stable_window_s)
    columns["panic_at"] = np.where(is_over, rows.now, np.where(is_done, NONE, rows.panic_at))
    columns["panic_pods"] = np.where(is_done, 0, rows.panic_pods)


def pace_growth(rows: Rows, stable: Array, panic: Array) -> tuple[Array, Array] | None:
    """See `delays.pace_growth`; returned are the most pods of either window, or None where nobody is held."""
    spec, columns, now = rows.spec, rows.columns, rows.now
    had_surge = ~np.isnan(rows.surge_at)
    is_paced = rows.is_known & spec.is_panic_paced & (rows.start_s > 0)
    if not (is_paced.any() or had_surge.any()):
        return None
    there = np.maximum(rows.ready_pods.astype(np.int64) + rows.starting_pods, rows.current_scale)
    there = np.minimum(there, PODS_MAX)
    lasts_s = rows.start_s + np.minimum(rows.start_s, spec.panic_window_s)
    age_s = np.where(had_surge, now - rows.surge_at, -1.0)
    is_over = is_paced & (age_s >= lasts_s)
    is_remembered = is_paced & (age_s >= BURST_S) & (age_s < lasts_s + spec.stable_window_s)
    most_stable = np.where(is_remembered, np.maximum(there, panic), PODS_MAX)
    asked = np.maximum(np.minimum(stable, most_stable), panic)
    ends = (rows.is_known & had_surge & ~is_paced) | (is_over & ~(is_remembered & (asked <= there)))
    surge_at = np.where(ends, NONE, rows.surge_at)
    surge_pods = np.where(ends, 0, rows.surge_pods).astype(np.int64)
    begins = is_paced & np.isnan(surge_at) & (asked > there)
    is_first = begins & (rows.starting_pods == 0)
    surge_at = np.where(begins, np.where(is_first, now, now - 2 * BURST_S), surge_at)
    surge_pods = np.where(begins, np.where(is_first, asked, there), surge_pods)
    is_surge = is_paced & ~np.isnan(surge_at) & ~(is_over & ~begins)
    is_burst = is_surge & (now - surge_at < BURST_S)
    surge_pods = np.where(is_burst, np.maximum(surge_pods, asked), surge_pods)
    columns["surge_at"], columns["surge_pods"] = surge_at, surge_pods
    most = np.minimum(np.maximum(GROWTH_PER_START * surge_pods, surge_pods + GROWTH_MIN_PODS), PODS_MAX)
    most = np.where(is_surge & ~is_burst, most, PODS_MAX)
    return np.minimum(most, most_stable), most


def choose_window(rows: Rows, stable: Array, stable_because: Array, panic: Array, panic_because: Array) -> None:
    """See `load.choose_window`."""
    panics = rows.is_known & ~np.isnan(rows.panic_at)
    rows.pods, rows.because = stable, stable_because
    if not panics.any():
        return
    is_higher = panics & (panic > stable)
    pods = np.where(is_higher, panic, stable)
    lifted = np.where(panic_because == LOAD, PANIC, panic_because)
    because = np.where(is_higher, lifted, stable_because)
    is_kept = panics & (rows.panic_pods > pods)
    rows.pods = np.where(is_kept, rows.panic_pods, pods)
    rows.because = np.where(is_kept, PANIC, because)
    rows.columns["panic_pods"] = np.where(panics, rows.pods, rows.panic_pods)


def delay_scale_down(rows: Rows, delays: FleetDelays) -> None:
    """See `delays.delay_scale_down`."""
    spec = rows.spec
    is_delayed = np.broadcast_to((spec.scale_down_delay_s > 0) & spec.is_reachable, rows.slots.shape)
    for slot in delays.with_history(rows.slots[rows.is_known & ~is_delayed]).tolist():
        delays.drop(slot)
    where = np.flatnonzero(rows.is_known & is_delayed)
    if not len(where):
        return
    delay_s = np.broadcast_to(spec.scale_down_delay_s, rows.slots.shape)[where]
    pods = rows.pods[where].astype(np.int64)
    highest = delays.push(rows.slots[where], pods, delay_s, rows.now)
    last_pod_delay_s = np.broadcast_to(spec.last_pod_delay_s, rows.slots.shape)[where]
    is_held = (highest != pods) & ~((highest == 1) & (last_pod_delay_s >= 0))
    rows.pods, rows.because = rows.pods.copy(), rows.because.copy()
    rows.pods[where] = np.where(is_held, highest, pods)
    rows.because[where] = np.where(is_held, CODE[Because.SCALE_DOWN_DELAY], rows.because[where])


def delay_last_pod(rows: Rows) -> None:
    """See `delays.delay_last_pod`."""
    spec, columns = rows.spec, rows.columns
    has_delay = rows.is_known & (spec.last_pod_delay_s >= 0) & spec.is_reachable
    loaded_at = np.where(rows.is_known & ~has_delay, NONE, rows.loaded_at)
    if has_delay.any():
        is_there = rows.current_scale > 0
        is_loaded = (rows.raw_stable > 0) | (rows.raw_panic > 0) | (np.isnan(loaded_at) & is_there)
        loaded_at = np.where(has_delay & is_loaded, rows.now, loaded_at)
        left_s = spec.last_pod_delay_s - (rows.now - loaded_at)
        is_held = has_delay & (rows.pods == 0) & is_there & (left_s > 0)
        rows.pods = np.where(is_held, 1, rows.pods)
        rows.because = np.where(is_held, CODE[Because.LAST_POD_DELAY], rows.because)
    columns["loaded_at"] = loaded_at


def pace_scale_down(rows: Rows) -> None:
    """See `delays.pace_scale_down`."""
    falls = rows.is_known & (rows.pods < rows.wanted)
    if not falls.any():
        return
    is_early = falls & (rows.now - rows.lowered_at < STEP_S) & rows.spec.is_reachable
    rows.columns["lowered_at"] = np.where(falls & ~is_early, rows.now, rows.lowered_at)
    rows.pods = np.where(is_early, rows.wanted, rows.pods)
    rows.because = np.where(is_early, CODE[Because.SCALE_DOWN_RATE], rows.because)


def remember_load(rows: Rows) -> None:
    """Keep what load asked for and the excess burst capacity; where nothing is known, what was kept stays."""
    columns, known = rows.columns, rows.is_known
    excess = excess_burst_capacity(rows.spec, rows.ready_pods, rows.panic)
    columns["excess_burst_capacity"] = np.where(known, excess, rows.excess_burst_capacity)
    rows.pods = np.where(known, rows.pods, rows.wanted).astype(np.int64)
    rows.because = np.where(known, rows.because, CODE[Because.NO_DATA])
    columns["wanted"] = rows.pods


def excess_burst_capacity(spec: SpecView, ready_pods: Array, panic_value: Array | float) -> Array:
    """See `load.excess_burst_capacity`."""
    burst = spec.target_burst_capacity
    excess = np.floor(np.maximum(np.minimum(ready_pods * spec.total - burst - panic_value, MAX), -MAX))
    return np.where(burst == 0, 0, np.where(burst < 0, -1, excess)).astype(np.int64)


def _pods(values: Array, target: Any) -> Array:
    pods: Array = np.ceil(np.minimum(values / target, MAX)).astype(np.int64)
    return pods


def clamp(rows: Rows, pods: Array, because: Array) -> tuple[Array, Array]:
    """Hold pods within the rate limits."""
    up, down = rows.max_scale_up, rows.max_scale_down
    is_above, is_below = pods > up, pods < down
    clamped = np.where(is_above, up, np.where(is_below, np.minimum(down, up), pods))
    reason = np.where(is_below, CODE[Because.SCALE_DOWN_RATE], because)
    return clamped, np.where(is_above, CODE[Because.SCALE_UP_RATE], reason)


def lift_to_activation_scale(rows: Rows, raw: Array, pods: Array, because: Array) -> tuple[Array, Array]:
    """See `load.lift_to_activation_scale`."""
    scale = rows.spec.activation_scale
    is_lifted = (scale > 1) & (raw > 0) & (scale > pods)
    if not is_lifted.any():
        return pods, because
    return np.where(is_lifted, scale, pods), np.where(is_lifted, CODE[Because.ACTIVATION_SCALE], because)


def at_most(pods: Array, because: Array, most: Array) -> tuple[Array, Array]:
    """Hold pods to the growth that a start allows."""
    is_above = pods > most
    return np.where(is_above, most, pods), np.where(is_above, CODE[Because.START_TIME], because)
