"""The Azure Functions 2019 trace: a line per function with its invocations of each minute of a day, and a second file
with durations in milliseconds by percentile.

Within its minute an invocation falls anywhere with the same chance; its duration is drawn from the function's
percentiles with straight lines between them. Only the functions called most are kept (`functions_max`), so that memory
stays bounded whatever the file's size; functions without durations, of which the dataset has some, are left out.
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

    known = _durations(durations_path)
    kept, left_out = _most_called(path, functions_max, known)
    if not kept and left_out:
        raise TraceError(path, f"none of its {left_out} functions has durations in {durations_path}")
    points = {one.key: known[one.key] for one in kept}
    note = f"arrivals fall anywhere in their minute; {len(kept)} functions, {left_out} less called or without durations"
    return Trace(
        path.name, "azure-functions-2019", lambda: _arrivals(kept, points, seed), MINUTES * 60.0, (f"{note} left out",)
    )


def _beside(path: Path) -> Path:
    name = path.name.replace("invocations_per_function_md", "function_durations_percentiles")
    return path.with_name(name if name != path.name else path.name.replace("invocations", "durations"))


def _most_called(path: Path, functions_max: int, known: dict[tuple[str, ...], Points]) -> tuple[list[_Function], int]:
    """Return the functions with durations that are called most, in the order of the file, and how many are left out."""
    kept: list[tuple[int, int, _Function]] = []
    number = 0
    for number, row in enumerate(rows(path, (*KEY, *MINUTE_COLUMNS)), 1):
        key = _key(row)
        counts = _counts(row)
        if key not in known:
            continue
        entry = (sum(counts), -number, _Function(key, counts))
        if len(kept) < functions_max:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    found = [function for _, _, function in sorted(kept, key=lambda entry: -entry[1])]
    return found, number - len(found)


def _counts(row: Row) -> array[int]:
    """Return the invocations of each minute; raises TraceError that names the field."""
    texts = row.span("1", MINUTE_COLUMNS[-1])
    try:
        counts = array("L", map(int, texts))
        if len(counts) == MINUTES and max(counts) <= COUNT_MAX:
            return counts
    except (ValueError, OverflowError):
        pass  # field by field, to say which it is
    return array("L", (int(row.number(minute, 0, COUNT_MAX)) for minute in MINUTE_COLUMNS))


def _durations(path: Path) -> dict[tuple[str, ...], Points]:
    return {_key(row): _points(row) for row in rows(path, (*KEY, *PERCENTILES))}


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
