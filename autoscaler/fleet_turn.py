"""What came of one chunk of a fleet: which revisions have news, and any of them as a full Decision. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler import load, waits
from autoscaler.fleet_delays import FleetDelays
from autoscaler.fleet_rows import Rows
from autoscaler.fleet_state import ACTIVITIES, BECAUSE, MODES, REASONS
from autoscaler.rings import Flags
from autoscaler.spec_table import SpecTable
from autoscaler.state import NO_OPINION
from tidegate.contracts.decision import Decision, ServingMode

Slots = npt.NDArray[np.intp]


class Turn:
    """What came of one chunk. `news`: rows whose decision says something new, or differs from the scale there is."""

    def __init__(
        self,
        specs: SpecTable,
        spec_rows: npt.NDArray[np.int32],
        rows: Rows,
        waiting: npt.NDArray[np.int64],
        is_new: Flags,
        delays: FleetDelays,
    ) -> None:
        self.slots = rows.slots
        self.because = rows.because
        self._specs = specs
        self._spec_rows = spec_rows
        self._rows = rows
        self._waiting = waiting
        self._delays = delays
        is_due = rows.is_applied & (rows.pods >= 0) & (rows.pods != rows.current_scale)
        self.news: Slots = np.flatnonzero(is_new | is_due)

    def decision(self, row: int, namespace: str = "", revision: str = "", unix_s: float = 0.0) -> Decision:
        """Return one row as the Decision that the scalar form gives."""
        rows, spec = self._rows, self._specs.spec(int(self._spec_rows[row]))
        is_known, is_panicking = bool(rows.is_known[row]), rows.panic_at[row] == rows.panic_at[row]
        is_other = is_known and bool((rows.is_other_panic if is_panicking else rows.is_other_stable)[row])
        values = (rows.other_stable, rows.other_panic) if is_other else (rows.stable, rows.panic)
        ready = int(rows.ready_pods[row])
        return Decision(
            namespace=namespace,
            revision=revision,
            unix_s=unix_s,
            desired=int(rows.pods[row]),
            because=BECAUSE[rows.because[row]],
            sentence="",
            metric=spec.other_metric if is_other else spec.metric,
            stable_value=float(values[0][row]) if is_known else 0.0,
            panic_value=float(values[1][row]) if is_known else 0.0,
            target=spec.other_target if is_other else spec.target,
            total=spec.other_total if is_other else spec.total,
            ready_pods=ready,
            not_ready_pods=int(rows.not_ready_pods[row]),
            current_scale=int(rows.current_scale[row]),
            stable_pods=int(rows.raw_stable[row]) if is_known else NO_OPINION,
            panic_pods=int(rows.raw_panic[row]) if is_known else NO_OPINION,
            is_panicking=bool(is_panicking),
            min_scale=int(rows.min_scale[row]),
            max_scale=int(rows.max_scale[row]),
            max_scale_up=int(rows.max_scale_up[row]),
            max_scale_down=int(rows.max_scale_down[row]),
            excess_burst_capacity=int(rows.shown_excess[row]),
            serving_mode=MODES[rows.serving_mode[row]] or ServingMode.PROXY,
            next_change_s=self._next_change_s(row),
            is_applied=bool(rows.is_applied[row]),
            waiting=int(self._waiting[row]),
            activity=ACTIVITIES[rows.activity[row]],
            activity_reason=REASONS[rows.activity_reason[row]],
            is_initialized=bool(rows.is_initialized[row]),
            starting_pods=int(rows.starting_pods[row]),
            start_s=float(rows.start_s[row]),
            activators=load.activators_needed(spec, ready),
        )

    def _next_change_s(self, row: int) -> float:
        rows = self._rows
        panic_at, surge_at = float(rows.panic_at[row]), float(rows.surge_at[row])
        return waits.next_change_s(
            self._specs.spec(int(self._spec_rows[row])),
            BECAUSE[rows.because[row]],
            float(rows.wait_s[row]),
            rows.now,
            panic_at=None if math.isnan(panic_at) else panic_at,
            surge_at=None if math.isnan(surge_at) else surge_at,
            start_s=float(rows.start_s[row]),
            delayed=lambda: self._delays.pairs(int(rows.slots[row])),
        )
