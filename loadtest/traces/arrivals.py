"""What every reader yields: arrivals in order of time. And the error that names file, line and field.

A Trace can be read any number of times and gives the same arrivals each time. Nothing is kept in memory beyond what
putting a nearly sorted file in order needs, and that is bounded.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

REORDER_LIMIT = 1_000_000
"""Arrivals held back at once to put a file in order."""


class TraceError(ValueError):
    """A trace cannot be used; says which file, line and field, and what is wrong with it."""

    def __init__(self, path: Path | str, problem: str, *, line: int = 0, field: str = "") -> None:
        self.path, self.line, self.field, self.problem = str(path), line, field, problem
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{where}, field {field}: {problem}" if field else f"{where}: {problem}")


class Arrival(NamedTuple):
    """One request: seconds since the trace began, seconds of work it asks for, and the function it calls."""

    at_s: float
    service_s: float
    function: str = ""


@dataclass(frozen=True)
class Trace:
    """A stream of arrivals. `duration_s`: how long the trace covers, None when only its last arrival tells.

    `began_unix_s`: when it began, in seconds since 1970; None where it has no calendar.
    """

    name: str
    format: str
    read: Callable[[], Iterator[Arrival]]
    duration_s: float | None = None
    notes: tuple[str, ...] = ()
    began_unix_s: float | None = None

    def __iter__(self) -> Iterator[Arrival]:
        """Read the trace from its beginning."""
        return self.read()


def in_order(found: Iterable[tuple[Arrival, int]], slack_s: float, path: Path) -> Iterator[Arrival]:
    """Yield (arrival, line) pairs as arrivals in order of time, where none comes more than `slack_s` too late.

    Raises TraceError for one that does, and where more than `REORDER_LIMIT` would have to be held back.
    """
    held: list[tuple[float, int, Arrival]] = []
    newest = released = float("-inf")
    for arrival, line in found:
        if arrival.at_s < released:
            late_s = newest - arrival.at_s
            raise TraceError(path, f"it is {late_s:.3f} s before an earlier line: sort the file by time", line=line)
        newest = max(newest, arrival.at_s)
        heapq.heappush(held, (arrival.at_s, line, arrival))
        if len(held) > REORDER_LIMIT:
            raise TraceError(path, f"more than {REORDER_LIMIT} requests overlap: cut the file", line=line)
        while held and held[0][0] <= newest - slack_s:
            released = held[0][0]
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def only(trace: Trace, functions: Iterable[str]) -> Trace:
    """Return the trace with the arrivals of these functions alone; names may be shortened to a prefix."""
    prefixes = tuple(functions)

    def read() -> Iterator[Arrival]:
        return (arrival for arrival in trace if arrival.function.startswith(prefixes))

    return replace(trace, read=read)


def merged(trace: Trace) -> Trace:
    """Return the trace with all functions as one."""

    def read() -> Iterator[Arrival]:
        return (arrival._replace(function="") for arrival in trace)

    return replace(trace, read=read)


def between(trace: Trace, begin_s: float, end_s: float) -> Trace:
    """Return the part of the trace from `begin_s` until before `end_s`, its clock starting at 0."""

    def read() -> Iterator[Arrival]:
        for arrival in trace:
            if arrival.at_s >= end_s:
                return
            if arrival.at_s >= begin_s:
                yield arrival._replace(at_s=arrival.at_s - begin_s)

    known_s = end_s if trace.duration_s is None else min(end_s, trace.duration_s)
    duration_s = None if known_s == float("inf") else max(0.0, known_s - begin_s)
    began = None if trace.began_unix_s is None else trace.began_unix_s + begin_s
    return replace(trace, read=read, duration_s=duration_s, began_unix_s=began)
