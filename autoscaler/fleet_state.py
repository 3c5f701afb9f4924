"""What a fleet remembers and sees, as columns: `state.Memory` and the lasting part of `state.Observation` by slot.

`memory` and `put` turn one slot into the values of the scalar form and back, without loss. None is "not a number", or
`NOTHING` in a whole number. The scale-down delay's history is in `fleet_delays`. Pure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler import zero
from autoscaler.state import LOAD_MAX, NO_OPINION, PODS_MAX, Memory, Observation
from tidegate.contracts.decision import Activity, Because, ServingMode

Column = npt.NDArray[Any]

NOTHING = -(2**31)
ACTIVITIES = tuple(Activity)
ACTIVATING, ACTIVE, INACTIVE = (
    ACTIVITIES.index(one) for one in (Activity.ACTIVATING, Activity.ACTIVE, Activity.INACTIVE)
)
MODES = (None, ServingMode.PROXY, ServingMode.SERVE)
UNKNOWN, PROXY, SERVE = range(3)
REASONS = ("", zero.QUEUED, zero.NO_TRAFFIC, zero.TIMED_OUT)
NO_REASON, QUEUED, NO_TRAFFIC, TIMED_OUT = range(4)
BECAUSE = tuple(Because)
CODE = {because: number for number, because in enumerate(BECAUSE)}

TIMES = ("lowered_at", "panic_at", "surge_at", "loaded_at", "proxy_since")
"""Times that may be None."""

_MEMORY: dict[str, tuple[type, float]] = {
    "began_at": (np.float64, 0.0),
    "activity_since": (np.float64, 0.0),
    **dict.fromkeys(TIMES, (np.float64, np.nan)),
    "wanted": (np.int32, NO_OPINION),
    "panic_pods": (np.int32, 0),
    "surge_pods": (np.int32, 0),
    "excess_burst_capacity": (np.int32, NOTHING),
    "is_restored": (np.bool_, False),
    "is_initialized": (np.bool_, False),
    "activity": (np.int8, ACTIVATING),
    "activity_reason": (np.int8, NO_REASON),
    "serving_mode": (np.int8, UNKNOWN),
}
_SEEN: dict[str, tuple[type, float]] = {
    "ready_pods": (np.int32, 0),
    "not_ready_pods": (np.int32, 0),
    "starting_pods": (np.int32, 0),
    "current_scale": (np.int32, 0),
    "prewarm_pods": (np.int32, 0),
    "start_s": (np.float64, 0.0),
}
_OUTCOME: dict[str, tuple[type, float]] = {
    "desired": (np.int32, NO_OPINION),
    "because": (np.int8, -1),
    "flags": (np.int8, 0),
}
MEMORY, SEEN, OUTCOME = tuple(_MEMORY), tuple(_SEEN), tuple(_OUTCOME)
FIRST_SLOTS = 256
GROWTH = 4
"""Columns grow by one part in so many: what is kept in advance counts as used too."""


class FleetState:
    """The columns. `spec_row` -1 marks a slot that nobody has added."""

    def __init__(self) -> None:
        self.slots = 0
        """Slots in use or once used; columns may be longer."""
        self.columns: dict[str, Column] = {
            name: np.zeros(FIRST_SLOTS, dtype) for name, (dtype, _default) in (_MEMORY | _SEEN | _OUTCOME).items()
        }
        self.spec_row: npt.NDArray[np.int32] = np.full(FIRST_SLOTS, -1, np.int32)

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots at least; what a slot begins with is written by `clear` and `put`."""
        self.slots = max(self.slots, slots)
        more = max(slots, len(self.spec_row) + len(self.spec_row) // GROWTH) - len(self.spec_row)
        if slots > len(self.spec_row):
            for name, column in self.columns.items():
                self.columns[name] = np.concatenate([column, np.zeros(more, column.dtype)])
            self.spec_row = np.concatenate([self.spec_row, np.full(more, -1, np.int32)])

    def clear(self, slot: int) -> None:
        """Make a slot as if nobody had ever used it."""
        self.spec_row[slot] = -1
        for name, (_dtype, default) in (_MEMORY | _SEEN | _OUTCOME).items():
            self.columns[name][slot] = default

    def see(self, slot: int, **counts: float) -> None:
        """Set what is seen of a slot (names of `SEEN`); impossible numbers are made harmless, as in `state.sane`."""
        for name, value in counts.items():
            most = LOAD_MAX if name == "start_s" else PODS_MAX
            self.columns[name][slot] = min(max(value, 0), most) if value == value else 0

    def memory(self, slot: int, delayed: tuple[tuple[int, int], ...]) -> Memory:
        """Return what a slot remembers."""
        value = {name: self.columns[name][slot] for name in MEMORY}
        excess = int(value["excess_burst_capacity"])
        times = {name: None if value[name] != value[name] else float(value[name]) for name in TIMES}
        return Memory(
            began_at=float(value["began_at"]),
            is_restored=bool(value["is_restored"]),
            wanted=int(value["wanted"]),
            panic_pods=int(value["panic_pods"]),
            delayed=delayed,
            surge_pods=int(value["surge_pods"]),
            excess_burst_capacity=None if excess == NOTHING else excess,
            activity=ACTIVITIES[value["activity"]],
            activity_reason=REASONS[value["activity_reason"]],
            activity_since=float(value["activity_since"]),
            is_initialized=bool(value["is_initialized"]),
            serving_mode=MODES[value["serving_mode"]],
            **times,
        )

    def put(self, slot: int, memory: Memory) -> None:
        """Remember for a slot (all but `delayed`)."""
        columns = self.columns
        for name in (
            "began_at",
            "activity_since",
            "wanted",
            "panic_pods",
            "surge_pods",
            "is_restored",
            "is_initialized",
        ):
            columns[name][slot] = getattr(memory, name)
        for name in TIMES:
            time = getattr(memory, name)
            columns[name][slot] = np.nan if time is None else time
        excess = memory.excess_burst_capacity
        columns["excess_burst_capacity"][slot] = NOTHING if excess is None else excess
        columns["activity"][slot] = ACTIVITIES.index(memory.activity)
        columns["activity_reason"][slot] = REASONS.index(memory.activity_reason)
        columns["serving_mode"][slot] = MODES.index(memory.serving_mode)

    def observation(self, slot: int, **more: Any) -> Observation:
        """Return what is seen of a slot; `more` is what only the moment tells (loads, waiting, names)."""
        value = {name: self.columns[name][slot] for name in SEEN}
        return Observation(
            ready_pods=int(value["ready_pods"]),
            not_ready_pods=int(value["not_ready_pods"]),
            starting_pods=int(value["starting_pods"]),
            current_scale=int(value["current_scale"]),
            prewarm_pods=int(value["prewarm_pods"]),
            start_s=float(value["start_s"]),
            **more,
        )
