"""Access logs in common or combined log format, as Apache and nginx write them.

Times have whole seconds only: the requests of one second are spread over it. A number at the end of the line is the
request's time: seconds where it has a decimal point (nginx `$request_time`), microseconds where it is whole (Apache
`%D`); without one, service times are drawn from the distribution given.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from loadtest import distributions
from loadtest.distributions import Distribution
from loadtest.traces.arrivals import Arrival, Trace, TraceError, in_order
from loadtest.traces.rows import lines

LINE = re.compile(
    r"\S+ \S+ .*?\[(?P<time>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?(?: "?(?P<took>\d+(?:\.\d+)?)"?)?\s*'
)
TIME = "%d/%b/%Y:%H:%M:%S %z"
SLACK_S = 60.0
"""Lines are written when requests end, so their times may stand this far out of order."""
SERVICE_MAX_S = 86400.0


def is_access_log(line: str) -> bool:
    """Whether a line looks like one of an access log."""
    return LINE.fullmatch(line.rstrip("\r\n")) is not None


def trace(path: Path, service: Distribution, seed: int) -> Trace:
    """Return the trace in `path`, its clock starting with the second of its earliest line."""

    def read() -> Iterator[Arrival]:
        placed = distributions.generator(seed, "access-log", "time")
        drawn = distributions.generator(seed, "access-log", "service")
        return in_order(_arrivals(path, began, service, placed, drawn), SLACK_S, path)

    began = _first(path)
    note = f"requests of one second spread over it; service time from the line, or else {service}"
    return Trace(path.name, "access-log", read, notes=(note,), began_unix_s=began)


def _first(path: Path) -> float:
    """Return the earliest time among the lines that may come out of order at the beginning."""
    first_s, begin_s = float("inf"), None
    for number, line in lines(path):
        if line.strip():
            unix_s = _parse(path, number, line)[0]
            begin_s = unix_s if begin_s is None else begin_s
            if unix_s > begin_s + SLACK_S:
                break
            first_s = min(first_s, unix_s)
    return 0.0 if begin_s is None else first_s


def _arrivals(
    path: Path, first_s: float, service: Distribution, placed: random.Random, drawn: random.Random
) -> Iterator[tuple[Arrival, int]]:
    for number, line in lines(path):
        if not line.strip():
            continue
        unix_s, took_s = _parse(path, number, line)
        service_s = service.draw(drawn) if took_s is None else took_s
        yield Arrival(unix_s - first_s + placed.random(), service_s), number


def _parse(path: Path, number: int, line: str) -> tuple[float, float | None]:
    """Return the line's time (Unix seconds) and how long the request took, None where the line does not say."""
    found = LINE.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise TraceError(path, f"it is not an access log line: {line.strip()[:60]!r}", line=number)
    try:
        unix_s = datetime.strptime(found["time"], TIME).timestamp()
    except ValueError as error:
        problem = f"{found['time'][:40]!r} is not a time like 10/Oct/2000:13:55:36 -0700"
        raise TraceError(path, problem, line=number, field="time") from error
    took = found["took"]
    if took is None:
        return unix_s, None
    took_s = float(took) if "." in took else int(took) / 1e6
    if took_s > SERVICE_MAX_S:
        raise TraceError(path, f"{took} is more than a day", line=number, field="request time")
    return unix_s, took_s
