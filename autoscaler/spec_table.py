"""The specs of all revisions as columns: equal specs share a row, so most fleets need a handful of rows.

Pure. A row is a small number; it is used again when the last revision that had it is gone.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import RPS

Rows = npt.NDArray[np.int32]
FIRST_ROWS = 16
_DTYPES = {bool: np.bool_, int: np.int64, float: np.float64}


class SpecTable:
    """Interned specs. `column(name)` is by row, for the fields that are numbers or flags."""

    def __init__(self) -> None:
        self._specs: list[ScalingSpec | None] = []
        self._uses: list[int] = []
        self._row_of: dict[ScalingSpec, int] = {}
        self._free: list[int] = []
        self._columns: dict[str, npt.NDArray[Any]] = {
            field.name: np.zeros(FIRST_ROWS, _DTYPES[type(field.default)])
            for field in fields(ScalingSpec)
            if type(field.default) in _DTYPES
        }
        # Of the fields that are text, what the rules ask.
        self._columns |= {name: np.zeros(FIRST_ROWS, np.bool_) for name in ("has_other", "is_rps")}

    def __len__(self) -> int:
        return len(self._row_of)

    def spec(self, row: int) -> ScalingSpec:
        """Return the spec in a row."""
        spec = self._specs[row]
        assert spec is not None, row
        return spec

    def take(self, spec: ScalingSpec) -> int:
        """Return the row of a spec, for one more user."""
        row = self._row_of.get(spec)
        if row is None:
            row = self._row_of[spec] = self._insert(spec)
        self._uses[row] += 1
        return row

    def drop(self, row: int) -> None:
        """One user less."""
        self._uses[row] -= 1
        if not self._uses[row]:
            del self._row_of[self.spec(row)]
            self._specs[row] = None
            self._free.append(row)

    def view(self, rows: Rows) -> SpecView:
        """Return the columns for a selection of rows; where all rows are the same, single numbers."""
        if len(rows) and bool((rows == rows[0]).all()):
            return SpecView(self._columns, int(rows[0]))
        return SpecView(self._columns, rows)

    def _insert(self, spec: ScalingSpec) -> int:
        if self._free:
            row = self._free.pop()
            self._specs[row] = spec
        else:
            row = len(self._specs)
            self._specs.append(spec)
            self._uses.append(0)
            if row == len(self._columns["target"]):
                self._grow()
        for name, column in self._columns.items():
            column[row] = getattr(spec, name, False)
        self._columns["has_other"][row] = bool(spec.other_metric)
        self._columns["is_rps"][row] = spec.metric == RPS
        return row

    def _grow(self) -> None:
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate([column, np.zeros_like(column)])


class SpecView:
    """Columns of some rows, by the names of `ScalingSpec`, and `has_other`, `is_rps`; gathered when first asked for."""

    def __init__(self, columns: dict[str, npt.NDArray[Any]], rows: Rows | int) -> None:
        self._columns = columns
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            raise AttributeError(name)
        value = column[self._rows]
        setattr(self, name, value)
        return value
