"""What is in a trace: how many requests over how long, how they cluster, how long they take, how many at once.

Reads the trace once and keeps numbers only; concurrency is that of an unlimited server, where nobody waits.
"""

from __future__ import annotations

import heapq
import math
from array import array
from dataclasses import dataclass
from typing import Any

from loadtest.traces.arrivals import Trace

REQUESTS_MAX = 20_000_000


@dataclass(frozen=True)
class Description:
    """Counts, rates in requests per second, times in seconds. `burstiness` is the coefficient of variation of the
    times between arrivals: 1 for Poisson, above it for bursts."""

    name: str
    format: str
    requests: int
    functions: int
    span_s: float
    mean_rate: float
    peak_second: int
    burstiness: float
    mean_in_flight: float
    peak_in_flight: int
    service_p50_s: float
    service_p95_s: float
    service_p99_s: float
    service_max_s: float
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the numbers as JSON has them."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in data.items()}

    def as_text(self) -> str:
        """Return lines for a person."""
        return "\n".join(
            [
                f"{self.name} ({self.format})",
                f"  {self.requests} requests of {self.functions} function(s) in {self.span_s:.0f} s",
                f"  {self.mean_rate:.3g} per second on average, {self.peak_second} in the busiest second, "
                f"burstiness {self.burstiness:.2f} (Poisson: 1)",
                f"  {self.mean_in_flight:.3g} in flight on average, {self.peak_in_flight} at most, if nobody waits",
                f"  service time p50 {self.service_p50_s:.3g} s, p95 {self.service_p95_s:.3g} s, "
                f"p99 {self.service_p99_s:.3g} s, at most {self.service_max_s:.3g} s",
                *(f"  {note}" for note in self.notes),
            ]
        )


class _Reader:
    """Adds up a trace arrival by arrival."""

    def __init__(self) -> None:
        self.services_s = array("d")
        self.functions: set[str] = set()
        self.last_s = 0.0
        self.gap_sum = self.gap_squares = 0.0
        self.second, self.in_second, self.peak_second = -1, 0, 0
        self.ends: list[float] = []
        self.peak_in_flight = 0

    def take(self, at_s: float, service_s: float, function: str) -> None:
        if self.services_s:
            gap_s = at_s - self.last_s
            self.gap_sum += gap_s
            self.gap_squares += gap_s * gap_s
        self.last_s = at_s
        self.services_s.append(service_s)
        self.functions.add(function)
        second = math.floor(at_s)
        self.in_second = self.in_second + 1 if second == self.second else 1
        self.second = second
        self.peak_second = max(self.peak_second, self.in_second)
        while self.ends and self.ends[0] <= at_s:
            heapq.heappop(self.ends)
        heapq.heappush(self.ends, at_s + service_s)
        self.peak_in_flight = max(self.peak_in_flight, len(self.ends))

    @property
    def burstiness(self) -> float:
        gaps = len(self.services_s) - 1
        if gaps < 1 or not self.gap_sum:
            return 0.0
        mean = self.gap_sum / gaps
        return math.sqrt(max(0.0, self.gap_squares / gaps - mean * mean)) / mean


def describe(trace: Trace) -> Description:
    """Return the description; raises TraceError for a malformed trace and ValueError for one too long."""
    reader = _Reader()
    for at_s, service_s, function in trace:
        reader.take(at_s, service_s, function)
        if len(reader.services_s) > REQUESTS_MAX:
            raise ValueError(f"{trace.name} has more than {REQUESTS_MAX} requests: describe a part of it (--until)")
    services_s = sorted(reader.services_s)
    span_s = trace.duration_s if trace.duration_s is not None else reader.last_s
    return Description(
        name=trace.name,
        format=trace.format,
        requests=len(services_s),
        functions=len(reader.functions),
        span_s=span_s,
        mean_rate=len(services_s) / span_s if span_s else 0.0,
        peak_second=reader.peak_second,
        burstiness=reader.burstiness,
        mean_in_flight=math.fsum(services_s) / span_s if span_s else 0.0,
        peak_in_flight=reader.peak_in_flight,
        service_p50_s=_at(services_s, 0.5),
        service_p95_s=_at(services_s, 0.95),
        service_p99_s=_at(services_s, 0.99),
        service_max_s=_at(services_s, 1.0),
        notes=trace.notes,
    )


def _at(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
