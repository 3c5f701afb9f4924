"""The windows of all revisions: which ring and column each has, by metric and by length.

A revision has windows only of the metrics it scales on, and only while there is something in them: one that sleeps
gives its columns back. Pure: seconds are handed in; revisions are slots.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from autoscaler.fleet_state import FIRST_SLOTS, GROWTH
from autoscaler.rings import Flags, Floats, Ring
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import CONCURRENCY, RPS, WEIGHTED_EXPONENTIAL

METRICS = (CONCURRENCY, RPS)
KINDS = 4
"""Stable and panic window of each metric, in this order."""


class FleetWindows:
    """Slots to columns. `configure` before `record`; a slot without windows records nothing."""

    def __init__(self) -> None:
        self._rings: dict[tuple[int, int], Ring] = {}
        self._head = 0
        self._slots = 0
        # By kind, and only for kinds that somebody has: seconds (0: no window) and column by slot.
        self._size: dict[int, npt.NDArray[np.int16]] = {}
        self._column: dict[int, npt.NDArray[np.int32]] = {}

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots."""
        self._slots = max(self._slots, slots)
        for kind, sizes in self._size.items():
            if self._slots > len(sizes):
                more = max(FIRST_SLOTS, self._slots - len(sizes), len(sizes) // GROWTH)
                self._size[kind] = np.concatenate([sizes, np.zeros(more, np.int16)])
                self._column[kind] = np.concatenate([self._column[kind], np.zeros(more, np.int32)])

    @property
    def open_slots(self) -> Flags:
        """Which slots have windows."""
        flags: Flags = np.zeros(self._slots, np.bool_)
        for sizes in self._size.values():
            flags |= sizes[: self._slots] > 0
        return flags

    def is_open(self, slot: int) -> bool:
        """Whether a slot has windows."""
        return any(sizes[slot] for sizes in self._size.values())

    def configure(self, slot: int, spec: ScalingSpec) -> None:
        """Give a slot the windows of its spec; what a window holds and the new length has room for stays."""
        wanted = (spec.stable_window_s, spec.panic_window_s)
        for kind in range(KINDS):
            is_used = METRICS[kind // 2] in (spec.metric, spec.other_metric)
            size = max(1, math.ceil(wanted[kind % 2])) if is_used else 0
            self._refit(kind, slot, size, is_weighted=spec.algorithm == WEIGHTED_EXPONENTIAL)

    def release(self, slot: int) -> None:
        """Drop a slot's windows."""
        for kind in range(KINDS):
            self._refit(kind, slot, 0, is_weighted=False)

    def record(self, second: int, concurrency: Floats, rps: Floats, said: Flags) -> None:
        """Add one second of load: two values per slot, for the slots where `said`."""
        self._head = max(self._head, second)
        for (kind, _size), ring in self._rings.items():
            ring.record(second, rps if kind // 2 else concurrency, said)

    def record_one(self, slot: int, second: int, concurrency: float, rps: float) -> None:
        """Add to one second of one slot, also one that is past."""
        self._head = max(self._head, second)
        for kind, ring, column in self._of(slot):
            ring.record_one(column, second, rps if kind // 2 else concurrency)

    def averages(self, second: int) -> list[Floats]:
        """Return the averages as of `second`, by kind and then by slot; not a number where there is no data."""
        self._head = max(self._head, second)
        nothing: Floats = np.broadcast_to(np.array(np.nan), self._slots)
        means = [nothing] * KINDS
        for (kind, _size), ring in self._rings.items():
            if means[kind] is nothing:
                means[kind] = np.full(self._slots, np.nan)
            means[kind][ring.slot[: ring.used]] = ring.averages(second)
        return means

    def averages_of(self, slot: int, metric: str, second: int) -> tuple[float, float] | None:
        """Return one slot's (stable, panic) averages of a metric; None without data."""
        self._head = max(self._head, second)
        first = 2 * METRICS.index(metric)
        values = {kind: float(ring.average_one(column, second)) for kind, ring, column in self._of(slot)}
        stable, panic = values.get(first, math.nan), values.get(first + 1, math.nan)
        return None if math.isnan(stable) else (stable, 0.0 if math.isnan(panic) else panic)

    def seconds(self, slot: int, metric: str) -> list[tuple[int, float]]:
        """Return what the stable window of a slot holds: (second, value), the newest last."""
        wanted = 2 * METRICS.index(metric)
        return next((ring.seconds(column) for kind, ring, column in self._of(slot) if kind == wanted), [])

    def _of(self, slot: int) -> Iterable[tuple[int, Ring, int]]:
        for kind, sizes in self._size.items():
            size = int(sizes[slot])
            if size:
                yield kind, self._rings[kind, size], int(self._column[kind][slot])

    def _refit(self, kind: int, slot: int, size: int, *, is_weighted: bool) -> None:
        if kind not in self._size:
            if not size:
                return
            self._size[kind] = np.zeros(max(FIRST_SLOTS, self._slots), np.int16)
            self._column[kind] = np.zeros(max(FIRST_SLOTS, self._slots), np.int32)
        before = int(self._size[kind][slot])
        if before == size:
            if size:
                self._rings[kind, size].is_weighted[self._column[kind][slot]] = is_weighted
            return
        kept = self._close(kind, slot, before) if before else []
        if size:
            ring = self._rings.get((kind, size))
            if ring is None:
                ring = self._rings[kind, size] = Ring(size, self._head)
            column = ring.open(slot, is_weighted=is_weighted)
            self._column[kind][slot] = column
            for second, value in kept[-size:]:
                ring.record_one(column, second, value)
        self._size[kind][slot] = size

    def _close(self, kind: int, slot: int, size: int) -> list[tuple[int, float]]:
        ring, column = self._rings[kind, size], int(self._column[kind][slot])
        kept = ring.seconds(column)
        moved = ring.close(column)
        if moved >= 0:
            self._column[kind][moved] = column
        if not ring.used:
            del self._rings[kind, size]
        return kept
