"""All revisions under one autoscaler: their windows, memories and decisions, as columns.

`turn` decides everybody who is awake, a chunk at a time, so that the caller can look at other things in between;
`decide_one` decides one revision now, with the scalar form. Both leave the same memory. What is told apart here is only
who is awake and whose decision says something new: the full Decision is built for those alone. Pure: slots (small
numbers, one per revision) and times are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler import fleet_decide
from autoscaler.decide import decide
from autoscaler.fleet_delays import FleetDelays
from autoscaler.fleet_rows import Rows
from autoscaler.fleet_state import (
    ACTIVITIES,
    BECAUSE,
    INACTIVE,
    MEMORY,
    MODES,
    OUTCOME,
    SEEN,
    FleetState,
)
from autoscaler.fleet_turn import Turn
from autoscaler.fleet_windows import METRICS, FleetWindows
from autoscaler.prewarm import IdleTimes
from autoscaler.rings import Flags, Floats
from autoscaler.spec_table import SpecTable
from autoscaler.state import Memory, Observation, sane_now
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Decision

CHUNK = 16_384
APPLIED, PANICKING = 1, 2
MODE_SHIFT, ACTIVITY_SHIFT = 2, 4
SEEN_ANEW = 64
"""Bits of the outcome's flags."""

Slots = npt.NDArray[np.intp]


class Fleet:
    """Revisions by slot."""

    def __init__(self) -> None:
        self.state = FleetState()
        self.windows = FleetWindows()
        self.specs = SpecTable()
        self.delays = FleetDelays()
        self.idle_times: dict[int, IdleTimes] = {}
        """Of the revisions that are pre-warmed."""

    # Who is there

    def add(self, slot: int, spec: ScalingSpec, memory: Memory) -> None:
        """Take a revision into care."""
        self.state.grow(slot + 1)
        self.windows.grow(self.state.slots)
        self.delays.grow(self.state.slots)
        assert self.state.spec_row[slot] < 0, slot
        self.state.clear(slot)
        self.state.spec_row[slot] = self.specs.take(spec)
        self.state.put(slot, memory)
        self.delays.put(slot, memory.delayed, spec.scale_down_delay_s)
        if spec.is_prewarmed:
            self.idle_times[slot] = IdleTimes()

    def configure(self, slot: int, spec: ScalingSpec) -> None:
        """Change a revision's spec; what its windows hold stays where it fits."""
        before = int(self.state.spec_row[slot])
        self.state.spec_row[slot] = self.specs.take(spec)
        self.specs.drop(before)
        self.state.columns["flags"][slot] |= SEEN_ANEW
        if not spec.is_prewarmed:
            self.idle_times.pop(slot, None)
            self.state.columns["prewarm_pods"][slot] = 0
        elif slot not in self.idle_times:
            self.idle_times[slot] = IdleTimes()
        if self.windows.is_open(slot):
            self.windows.configure(slot, spec)

    def remove(self, slot: int) -> None:
        """Forget a revision."""
        self.windows.release(slot)
        self.delays.drop(slot)
        self.idle_times.pop(slot, None)
        self.specs.drop(int(self.state.spec_row[slot]))
        self.state.clear(slot)

    def is_watched(self, slot: int) -> bool:
        """Whether a slot has a revision."""
        return slot < self.state.slots and bool(self.state.spec_row[slot] >= 0)

    def spec(self, slot: int) -> ScalingSpec:
        """Return a revision's spec."""
        return self.specs.spec(int(self.state.spec_row[slot]))

    def memory(self, slot: int) -> Memory:
        """Return what is remembered of a revision."""
        return self.state.memory(slot, self.delays.pairs(slot))

    def remember(self, slot: int, memory: Memory) -> None:
        """Replace what is remembered of a revision."""
        self.state.put(slot, memory)
        self.delays.put(slot, memory.delayed, self.spec(slot).scale_down_delay_s)

    # What is seen

    def see(self, slot: int, **counts: float) -> None:
        """Note what is seen of a revision: any of the names in `fleet_state.SEEN`."""
        self.state.see(slot, **counts)
        self.state.columns["flags"][slot] |= SEEN_ANEW

    def record(self, second: int, concurrency: Floats, rps: Floats, said: Flags) -> None:
        """Record a second of load: two values per slot, where `said`. Slots that nobody has added are left out."""
        slots = min(len(said), self.state.slots)
        heard = np.zeros(self.state.slots, np.bool_)
        heard[:slots] = said[:slots] & (self.state.spec_row[:slots] >= 0)
        for slot in np.flatnonzero(heard & ~self.windows.open_slots[: len(heard)]).tolist():
            self.windows.configure(slot, self.spec(slot))
        if len(concurrency) < len(heard):
            more = len(heard) - len(concurrency)
            concurrency = np.concatenate([concurrency, np.zeros(more)])
            rps = np.concatenate([rps, np.zeros(more)])
        self.windows.record(second, concurrency, rps, heard)

    def tell(self, slot: int, second: int, concurrency: float, rps: float) -> None:
        """Add to one second of one revision, also one that is past."""
        if not self.windows.is_open(slot):
            self.windows.configure(slot, self.spec(slot))
        self.windows.record_one(slot, second, concurrency, rps)

    # Decisions

    def awake(self, is_silent: Flags) -> Slots:
        """Return the slots that a turn could change something for, and let the others give their windows back.

        Asleep is who is at zero and inactive, has been told so, and of whom nobody reports (`is_silent`, by slot).
        """
        watched, asleep = self._asleep(is_silent)
        for slot in np.flatnonzero(asleep & self.windows.open_slots).tolist():
            self.windows.release(slot)
        return np.flatnonzero(watched & ~asleep)

    def sound_asleep(self, now: float, is_silent: Flags, for_s: float) -> Slots:
        """Return who has slept for `for_s` seconds and longer than anything that was seen before matters.

        Their status tells all that a memory of them would: who drops them changes no decision.
        """
        slots = np.flatnonzero(self._asleep(is_silent)[1])
        spec = self.specs.view(self.state.spec_row[slots])
        of = {name: self.state.columns[name][slots] for name in ("activity_since", "panic_at", "surge_at", "start_s")}
        surge_s = of["start_s"] + spec.panic_window_s + spec.stable_window_s
        with np.errstate(invalid="ignore"):
            is_sound = (now - of["activity_since"] >= np.maximum(for_s, spec.scale_down_delay_s)) & np.isnan(
                of["panic_at"]
            )
            is_sound &= ~(now - of["surge_at"] < surge_s)
        return np.array([slot for slot in slots[is_sound].tolist() if slot not in self.idle_times], np.intp)

    def _asleep(self, is_silent: Flags) -> tuple[Flags, Flags]:
        """Return who is watched, and who of them sleeps."""
        slots = self.state.slots
        columns = {name: self.state.columns[name][:slots] for name in (*MEMORY, *SEEN, *OUTCOME)}
        watched: Flags = self.state.spec_row[:slots] >= 0
        silent = np.ones(slots, np.bool_)
        known = min(len(is_silent), slots)
        silent[:known] = is_silent[:known]
        asleep: Flags = watched & (columns["because"] >= 0) & ((columns["flags"] & SEEN_ANEW) == 0)
        asleep &= at_rest(columns, slice(None), silent)
        return watched, asleep

    def enough_for(self, slot: int) -> float:
        """Return up to how many waiting requests are worth no turn of their own: the pods asked for will take them.

        Infinite where pods are ready, -1 where none are asked for.
        """
        columns = self.state.columns
        if columns["activity"][slot] != INACTIVE and columns["ready_pods"][slot]:
            return math.inf
        wanted = int(columns["wanted"][slot])
        return wanted * self.spec(slot).target if wanted > 0 else -1.0

    def turn(self, now: float, at: int, waiting: npt.NDArray[np.int64], is_silent: Flags) -> Iterator[Turn]:
        """Decide everybody who is awake at `now`, on the windows as of second `at`; a chunk per step.

        `waiting`: requests that activators hold, by slot.
        """
        if len(waiting) < self.state.slots:
            waiting = np.concatenate([waiting, np.zeros(self.state.slots - len(waiting), np.int64)])
        averages = self.windows.averages(at)
        self._prewarm(averages, waiting, now)
        slots = self.awake(is_silent)
        for begin in range(0, len(slots), CHUNK):
            chunk = slots[begin : begin + CHUNK]
            # The caller did other things since the last chunk: who was removed meanwhile is left out.
            chunk = chunk[self.state.spec_row[chunk] >= 0]
            if len(chunk):
                yield self._decide(chunk, [kind[chunk] for kind in averages], waiting[chunk], now)

    def decide_one(
        self,
        slot: int,
        now: float,
        at: int,
        waiting: int,
        *,
        namespace: str = "",
        revision: str = "",
        unix_s: float = 0.0,
        is_poked: bool = False,
    ) -> Decision:
        """Decide one revision now, on its windows as of second `at`."""
        spec = self.spec(slot)
        seen = self._observation(
            slot, at, namespace=namespace, revision=revision, unix_s=unix_s, waiting=waiting, is_poked=is_poked
        )
        decision, memory = decide(spec, seen, self.memory(slot), now)
        self.state.put(slot, memory)
        self.delays.put(slot, memory.delayed, spec.scale_down_delay_s)
        columns = self.state.columns
        columns["desired"][slot] = decision.desired
        columns["because"][slot] = BECAUSE.index(decision.because)
        columns["flags"][slot] = (
            (APPLIED if decision.is_applied else 0)
            | (PANICKING if decision.is_panicking else 0)
            | MODES.index(decision.serving_mode) << MODE_SHIFT
            | ACTIVITIES.index(decision.activity) << ACTIVITY_SHIFT
        )
        return decision

    def look(self, slot: int, now: float, at: int, waiting: int, **names: Any) -> Decision:
        """Return what `decide_one` would decide now, and leave everything as it is."""
        seen = self._observation(slot, at, waiting=waiting, **names)
        return decide(self.spec(slot), seen, self.memory(slot), now)[0]

    def _observation(self, slot: int, at: int, **more: Any) -> Observation:
        spec = self.spec(slot)
        loads = self.windows.averages_of(slot, spec.metric, at) or (None, None)
        others = self.windows.averages_of(slot, spec.other_metric, at) if spec.other_metric else None
        return self.state.observation(
            slot,
            stable_value=loads[0],
            panic_value=loads[1],
            other_stable_value=others[0] if others else None,
            other_panic_value=others[1] if others else None,
            **more,
        )

    def _prewarm(self, averages: list[Floats], waiting: npt.NDArray[np.int64], now: float) -> None:
        """Count the idle times of those that are pre-warmed, and note whether they should have a pod by now."""
        for slot, times in self.idle_times.items():
            times.see(now, is_loaded=bool(waiting[slot] > 0 or averages[1][slot] > 0 or averages[3][slot] > 0))
            pods = int(times.wants_pod(now))
            if pods != self.state.columns["prewarm_pods"][slot]:
                self.see(slot, prewarm_pods=pods)

    def _decide(self, slots: Slots, averages: list[Floats], waiting: npt.NDArray[np.int64], now: float) -> Turn:
        now = sane_now(now)
        columns = {name: self.state.columns[name][slots] for name in MEMORY + SEEN}
        rows = Rows(self.specs.view(self.state.spec_row[slots]), slots, columns, now)
        fleet_decide.decide(rows, self._loads(rows, averages), waiting, self.delays)
        flags = (
            rows.is_applied * APPLIED
            | ~np.isnan(rows.panic_at) * PANICKING
            | rows.serving_mode.astype(np.int8) << MODE_SHIFT
            | rows.activity.astype(np.int8) << ACTIVITY_SHIFT
        ).astype(np.int8)
        outcome = {"desired": rows.pods, "because": rows.because, "flags": flags}
        is_new = np.zeros(len(slots), np.bool_)
        for name in OUTCOME:
            is_new |= self.state.columns[name][slots] != outcome[name]
            self.state.columns[name][slots] = outcome[name]
        for name in MEMORY:
            self.state.columns[name][slots] = columns[name]
        return Turn(self.specs, self.state.spec_row[slots], rows, waiting, is_new, self.delays)

    def _loads(self, rows: Rows, averages: list[Floats]) -> tuple[Floats, Floats, Floats, Floats]:
        is_rps = np.broadcast_to(rows.spec.is_rps, rows.slots.shape)
        has_rps = bool(is_rps.any())
        stable, panic = averages[0], averages[1]
        if has_rps:
            stable, panic = np.where(is_rps, averages[2], stable), np.where(is_rps, averages[3], panic)
        other_stable, other_panic = averages[2], averages[3]
        if has_rps:
            other_stable = np.where(is_rps, averages[0], other_stable)
            other_panic = np.where(is_rps, averages[1], other_panic)
        # A panic window that is empty beside a stable one that is not has seen no load.
        panic = np.where(np.isnan(panic) & ~np.isnan(stable), 0.0, panic)
        return stable, panic, other_stable, other_panic


def at_rest(columns: Mapping[str, Any], where: Slots | slice, is_silent: Flags) -> Flags:
    """Return whose next turn could change nothing, of the rows `where`: at zero, inactive, and nobody reports."""
    rests: Flags = is_silent[where] & (columns["activity"][where] == INACTIVE) & (columns["desired"][where] <= 0)
    for name in ("current_scale", "ready_pods", "not_ready_pods", "prewarm_pods"):
        rests &= columns[name][where] == 0
    return rests


assert METRICS[0] == ScalingSpec().metric, "averages come by kind: concurrency first"
