"""The Azure Functions 2021 trace: one line per invocation with app, func, end_timestamp and duration in seconds.

Lines stand in the order in which invocations ended. They are put in the order in which they began, which needs the
longest duration: a first pass over the file finds it, so that the second holds back no more than it must.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loadtest.traces.arrivals import Arrival, Trace, in_order
from loadtest.traces.rows import rows

COLUMNS = ("app", "func", "end_timestamp", "duration")
DURATION_MAX_S = 7 * 86400.0


def trace(path: Path) -> Trace:
    """Return the trace in `path`; a function is named by its app and its own hash, each shortened."""

    def read() -> Iterator[Arrival]:
        first_s, longest_s, disorder_s = _bounds(path)
        found = ((arrival._replace(at_s=arrival.at_s - first_s), line) for arrival, line in _invocations(path))
        return in_order(found, longest_s + disorder_s, path)

    return Trace(path.name, "azure-functions-2021", read)


def _invocations(path: Path) -> Iterator[tuple[Arrival, int]]:
    for row in rows(path, COLUMNS):
        end_s, duration_s = row.number("end_timestamp", 0), row.number("duration", 0, DURATION_MAX_S)
        name = f"{row.text('app')[:12]}/{row.text('func')[:12]}"
        yield Arrival(end_s - duration_s, duration_s, name), row.line


def _bounds(path: Path) -> tuple[float, float, float]:
    """Return (first begin, longest duration, by how much an end stands behind a later one), all in seconds."""
    first_s, longest_s, latest_end_s, disorder_s = float("inf"), 0.0, float("-inf"), 0.0
    for (at_s, service_s, _), _line in _invocations(path):
        first_s, longest_s = min(first_s, at_s), max(longest_s, service_s)
        disorder_s = max(disorder_s, latest_end_s - (at_s + service_s))
        latest_end_s = max(latest_end_s, at_s + service_s)
    return (0.0 if first_s == float("inf") else first_s), longest_s, disorder_s
