"""A Decision as a row of bytes and back: what is remembered of a hundred thousand revisions is kept so.

A row has everything but the names of the revision, which whoever keeps it knows, and the sentences, which are made
when somebody reads. What tells one decision from the last to a reader stands first, so that `is_alike` compares bytes.
Pure.
"""

from __future__ import annotations

import struct

from autoscaler.fleet_state import ACTIVITIES, BECAUSE, CODE, MODES, REASONS
from autoscaler.fleet_windows import METRICS
from autoscaler.state import PODS_MAX
from tidegate.contracts.decision import Decision, ServingMode

_FIRST = struct.Struct("<iiiBBBBB")
_REST = struct.Struct("<ddddddddiiiiiiiiiiiBBBB")
ALIKE = _FIRST.size
SIZE = _FIRST.size + _REST.size
_PATCHED = struct.Struct("<d")
_PATCHED_AT = ALIKE
_POKED_AT = SIZE - 1

_METRIC = {metric: number for number, metric in enumerate(METRICS)}
_MODE = {mode: number for number, mode in enumerate(MODES)}
_ACTIVITY = {activity: number for number, activity in enumerate(ACTIVITIES)}
_REASON = {reason: number for number, reason in enumerate(REASONS)}


def row_of(decision: Decision) -> bytes:
    """Return a decision as `SIZE` bytes."""
    first = _FIRST.pack(
        decision.desired,
        decision.ready_pods,
        decision.current_scale,
        CODE[decision.because],
        decision.is_applied,
        decision.is_panicking,
        _MODE[decision.serving_mode],
        _ACTIVITY[decision.activity],
    )
    return first + _REST.pack(
        decision.patched_unix_s,
        decision.unix_s,
        decision.stable_value,
        decision.panic_value,
        decision.target,
        decision.total,
        decision.next_change_s,
        decision.start_s,
        decision.not_ready_pods,
        decision.stable_pods,
        decision.panic_pods,
        decision.min_scale,
        decision.max_scale,
        decision.max_scale_up,
        decision.max_scale_down,
        decision.excess_burst_capacity,
        min(decision.waiting, PODS_MAX),
        decision.starting_pods,
        decision.activators,
        _METRIC[decision.metric],
        _REASON[decision.activity_reason],
        decision.is_initialized,
        decision.is_poked,
    )


def decision_of(row: bytes, namespace: str, revision: str) -> Decision:
    """Return the decision of a row, without its sentences."""
    desired, ready, scale, because, is_applied, is_panicking, mode, activity = _FIRST.unpack_from(row)
    (
        patched,
        unix_s,
        stable,
        panic,
        target,
        total,
        next_s,
        start_s,
        *counts,
        metric,
        reason,
        is_initialized,
        is_poked,
    ) = _REST.unpack_from(row, ALIKE)
    not_ready, stable_pods, panic_pods, low, high, up, down, excess, waiting, starting, activators = counts
    return Decision(
        namespace=namespace,
        revision=revision,
        unix_s=unix_s,
        desired=desired,
        because=BECAUSE[because],
        sentence="",
        metric=METRICS[metric],
        stable_value=stable,
        panic_value=panic,
        target=target,
        total=total,
        ready_pods=ready,
        not_ready_pods=not_ready,
        current_scale=scale,
        stable_pods=stable_pods,
        panic_pods=panic_pods,
        is_panicking=bool(is_panicking),
        min_scale=low,
        max_scale=high,
        max_scale_up=up,
        max_scale_down=down,
        excess_burst_capacity=excess,
        serving_mode=MODES[mode] or ServingMode.PROXY,
        is_poked=bool(is_poked),
        patched_unix_s=patched,
        next_change_s=next_s,
        is_applied=bool(is_applied),
        waiting=waiting,
        activity=ACTIVITIES[activity],
        activity_reason=REASONS[reason],
        is_initialized=bool(is_initialized),
        starting_pods=starting,
        start_s=start_s,
        activators=activators,
    )


def is_alike(before: bytes, row: bytes) -> bool:
    """Whether two rows say the same to a reader: same number, reason and circumstances, and nobody's poke."""
    return before[:ALIKE] == row[:ALIKE] and not row[_POKED_AT]


def in_place_of(before: bytes, row: bytes) -> bytes:
    """Return `row` with what happened to the row whose place it takes: its patch, and that it was poked."""
    return (
        row[:_PATCHED_AT]
        + before[_PATCHED_AT : _PATCHED_AT + 8]
        + row[_PATCHED_AT + 8 : _POKED_AT]
        + before[_POKED_AT:]
    )


def patched(row: bytes, unix_s: float) -> bytes:
    """Return the row with the time that its scale was written."""
    return row[:_PATCHED_AT] + _PATCHED.pack(unix_s) + row[_PATCHED_AT + 8 :]


def asks_for(row: bytes, desired: int) -> bool:
    """Whether a row asks for so many pods, and its scale has not been written yet."""
    return bool(_FIRST.unpack_from(row)[0] == desired) and not _PATCHED.unpack_from(row, _PATCHED_AT)[0]


def is_panicking(row: bytes) -> bool:
    """Whether the decision of a row was made in panic."""
    return bool(_FIRST.unpack_from(row)[5])
