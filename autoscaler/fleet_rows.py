"""One chunk of a fleet under decision, as columns: what `fleet_load` and `fleet_zero` read and write. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.spec_table import SpecView

Array = npt.NDArray[Any]


class Rows:
    """One chunk of revisions under decision: spec, what is seen, what is remembered, and what comes of it.

    Memory is changed in place; the names are those of `state.Memory`, `state.Observation` and `decision.Decision`.
    """

    # What the rules leave for those that follow.
    max_scale_up: Array
    max_scale_down: Array
    because_stable: Array
    because_panic: Array
    is_other_stable: Array
    is_other_panic: Array
    min_scale: Array
    max_scale: Array
    shown_excess: Array

    def __init__(self, spec: SpecView, slots: npt.NDArray[np.intp], columns: dict[str, Array], now: float) -> None:
        self.spec = spec
        self.slots = slots
        self.now = now
        self.columns = columns
        # Loads, by `load_of`.
        self.is_known = self.is_waiting = np.zeros(0, np.bool_)
        self.stable = self.panic = self.other_stable = self.other_panic = np.zeros(0)
        # Asks and steps, by the rules.
        self.raw_stable = self.raw_panic = self.raw_other_stable = self.raw_other_panic = np.zeros(0, np.int64)
        self.pods = self.because = np.zeros(0, np.int64)
        self.is_applied = np.ones(len(slots), np.bool_)
        self.wait_s = np.full(len(slots), -1.0)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None
