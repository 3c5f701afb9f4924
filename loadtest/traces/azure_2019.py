"""The Azure Functions 2019 trace: a line per function with its invocations of each minute of a day, and a second file
with durations in milliseconds by percentile.

Within its minute an invocation falls anywhere with the same chance; its duration is drawn from the function's
percentiles with straight lines between them. Only the functions called most are kept (`functions_max`), so that memory
stays bounded whatever the file's size.
"""

from __future__ import annotations

import heapq
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtest import distributions
from loadtest.traces.arrivals import Arrival, Trace, TraceError
from loadtest.traces.rows import Row, rows

MINUTES = 1440
KEY = ("HashOwner", "HashApp", "HashFunction")
MINUTE_COLUMNS = tuple(str(minute) for minute in range(1, MINUTES + 1))
SHARES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
PERCENTILES = tuple(f"percentile_Average_{round(share * 100)}" for share in SHARES)
COUNT_MAX = 1e7
DURATION_MAX_MS = 7 * 86400e3
FUNCTIONS_MAX = 1000

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Function:
    key: tuple[str, ...]
    counts: array[int]

    @property
    def name(self) -> str:
        return "/".join(part[:12] for part in self.key[1:])


def trace(path: Path, seed: int, durations: Path | None = None, functions_max: int = FUNCTIONS_MAX) -> Trace:
    """Return the day in `path`; `durations` is looked for beside it. Raises TraceError."""
    durations_path = durations or _beside(path)
    if not durations_path.exists():
        raise TraceError(path, f"its durations are not at {durations_path}: name the file with --durations")

    def read() -> Iterator[Arrival]:
        kept, _ = _most_called(path, functions_max)
        known = _durations(durations_path, {one.key for one in kept})
        missing = next((one for one in kept if one.key not in known), None)
        if missing:
            raise TraceError(durations_path, f"it has no durations of function {missing.key[2]}")
        return _arrivals(kept, known, seed)

    note = f"arrivals fall anywhere in their minute; at most the {functions_max} functions called most"
    return Trace(path.name, "azure-functions-2019", read, MINUTES * 60.0, (note,))


def _beside(path: Path) -> Path:
    name = path.name.replace("invocations_per_function_md", "function_durations_percentiles")
    return path.with_name(name if name != path.name else path.name.replace("invocations", "durations"))


def _most_called(path: Path, functions_max: int) -> tuple[list[_Function], int]:
    """Return the functions called most, in the order of the file, and how many functions there are."""
    kept: list[tuple[int, int, _Function]] = []
    number = 0
    for number, row in enumerate(rows(path, (*KEY, *MINUTE_COLUMNS)), 1):
        counts = array("L", (int(row.number(minute, 0, COUNT_MAX)) for minute in MINUTE_COLUMNS))
        entry = (sum(counts), -number, _Function(_key(row), counts))
        if len(kept) < functions_max:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    return [function for _, _, function in sorted(kept, key=lambda entry: -entry[1])], number


def _durations(path: Path, wanted: set[tuple[str, ...]]) -> dict[tuple[str, ...], Points]:
    known: dict[tuple[str, ...], Points] = {}
    for row in rows(path, (*KEY, *PERCENTILES)):
        key = _key(row)
        if key in wanted:
            known[key] = _points(row)
    return known


def _points(row: Row) -> Points:
    values = [row.number(column, 0, DURATION_MAX_MS) / 1000 for column in PERCENTILES]
    for column, lower, upper in zip(PERCENTILES[1:], values, values[1:], strict=False):
        if upper < lower:
            raise row.wrong(column, "it is below the percentile before it")
    return list(zip(SHARES, values, strict=True))


def _arrivals(kept: list[_Function], known: dict[tuple[str, ...], Points], seed: int) -> Iterator[Arrival]:
    generators = [distributions.generator(seed, "azure-2019", *one.key) for one in kept]
    for minute in range(MINUTES):
        found: list[Arrival] = []
        for function, generator in zip(kept, generators, strict=True):
            found += _minute(function, minute, known[function.key], generator)
        found.sort()
        yield from found


def _minute(function: _Function, minute: int, points: Points, generator: random.Random) -> list[Arrival]:
    return [
        Arrival(
            (minute + generator.random()) * 60.0,
            distributions.by_percentiles(points, generator.random()),
            function.name,
        )
        for _ in range(function.counts[minute])
    ]


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row.text(field) for field in KEY)
