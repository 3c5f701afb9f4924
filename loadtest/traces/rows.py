"""CSV files row by row with every field checked; a complaint names the file, the line and the field.

Nothing of a file stays in memory but the row at hand; a line has a length limit. Files that end in .gz are unpacked on
the way.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from loadtest.traces.arrivals import TraceError

LINE_LIMIT = 1 << 20
VALUE_LIMIT = 1e12


class Row:
    """One line of a CSV file; `line` counts from 1."""

    __slots__ = ("_columns", "_values", "line", "path")

    def __init__(self, path: Path, line: int, columns: dict[str, int], values: list[str]) -> None:
        self.path = path
        self.line = line
        self._columns = columns
        self._values = values

    def text(self, field: str) -> str:
        """Return the field; raises TraceError when the line is too short for it."""
        position = self._columns[field]
        if position >= len(self._values):
            raise self.wrong(field, f"the line has only {len(self._values)} of {len(self._columns)} fields")
        return self._values[position]

    def span(self, first: str, last: str) -> list[str]:
        """Return the fields from `first` to `last` as they stand in the file; fewer where the line is too short."""
        return self._values[self._columns[first] : self._columns[last] + 1]

    def number(self, field: str, low: float = 0.0, high: float = VALUE_LIMIT) -> float:
        """Return the field as a finite number within bounds; raises TraceError."""
        text = self.text(field)
        try:
            value = float(text)
        except ValueError as error:
            raise self.wrong(field, f"{text[:40]!r} is not a number") from error
        if not math.isfinite(value) or not low <= value <= high:
            raise self.wrong(field, f"{text[:40]} is not between {low:g} and {high:g}")
        return value

    def wrong(self, field: str, problem: str) -> TraceError:
        """Return the error for one field of this line."""
        return TraceError(self.path, problem, line=self.line, field=field)


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file, unpacking .gz; raises TraceError where it cannot be read."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as file
        ):
            yield file
    except OSError as error:
        raise TraceError(path, f"it cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TraceError(path, "it is not a text file in UTF-8") from error


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of a text file; raises TraceError for a line beyond the limit."""
    with opened(path) as file:
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            if len(line) == LINE_LIMIT:
                raise TraceError(path, f"longer than {LINE_LIMIT} characters", line=number)
            yield number, line


def rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file whose header has at least the `wanted` fields; blank lines are left out."""
    columns: dict[str, int] | None = None
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            values = next(csv.reader([line]))
        except csv.Error as error:
            raise TraceError(path, f"it is not CSV: {error}", line=number) from error
        if columns is None:
            columns = _header(path, number, values, wanted)
        else:
            yield Row(path, number, columns, values)
    if columns is None:
        raise TraceError(path, "it is empty")


def _header(path: Path, number: int, values: list[str], wanted: Sequence[str]) -> dict[str, int]:
    columns = {name.strip().lstrip("\ufeff"): position for position, name in enumerate(values)}
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise TraceError(path, f"the header lacks {', '.join(missing[:5])}", line=number)
    return columns
