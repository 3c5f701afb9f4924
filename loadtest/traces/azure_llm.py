"""Azure's LLM inference traces (2023 and 2024): TIMESTAMP, ContextTokens, GeneratedTokens.

The traces have no durations, so service time is made of tokens by two stated rates: the prompt is read at
`prefill_per_s`, the answer written at `decode_per_s`, both per request. That is a model of the server, not part of the
trace, and every report says which rates it used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadtest.traces.arrivals import Arrival, Trace, in_order
from loadtest.traces.rows import Row, rows

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
TOKENS_MAX = 1e7
SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Tokens per second and request of the modelled server."""

    prefill_per_s: float = 8000.0
    decode_per_s: float = 40.0

    def service_s(self, context: float, generated: float) -> float:
        """Return the seconds that one request takes alone."""
        return context / self.prefill_per_s + generated / self.decode_per_s


def trace(path: Path, rates: TokenRates) -> Trace:
    """Return the trace in `path`, its clock starting at its first arrival."""

    def read() -> Iterator[Arrival]:
        return in_order(_arrivals(path, rates), SLACK_S, path)

    note = f"service time = context tokens / {rates.prefill_per_s:g} + generated tokens / {rates.decode_per_s:g} s"
    first = next(rows(path, COLUMNS), None)
    return Trace(path.name, "azure-llm", read, notes=(note,), began_unix_s=_time(first) if first else None)


def _arrivals(path: Path, rates: TokenRates) -> Iterator[tuple[Arrival, int]]:
    begin: float | None = None
    for row in rows(path, COLUMNS):
        unix_s = _time(row)
        begin = unix_s if begin is None else begin
        context, generated = row.number("ContextTokens", 0, TOKENS_MAX), row.number("GeneratedTokens", 0, TOKENS_MAX)
        yield Arrival(unix_s - begin, rates.service_s(context, generated)), row.line


def _time(row: Row) -> float:
    text = row.text("TIMESTAMP")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise row.wrong("TIMESTAMP", f"{text[:40]!r} is not a time like 2023-11-16 18:17:03.9799600") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
