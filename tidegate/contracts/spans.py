"""Spans in the form that OpenTelemetry collectors take: OTLP over HTTP with JSON (OTLP 1.x, section OTLP/HTTP).

Pure. Ids are hexadecimal digits and 64-bit numbers are strings, as that encoding has them. It draws no ids and reads no
clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts.trace_context import Context

INTERNAL = 1
SERVER = 2
_ERROR = 2
SCOPE = "tidegate"

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Span:
    """One ended span; times are wall-clock nanoseconds. `parent_id`: empty for the first of a trace."""

    name: str
    context: Context
    parent_id: str
    start_unix_ns: int
    end_unix_ns: int
    kind: int = SERVER
    attributes: Attributes = field(default_factory=dict)
    is_error: bool = False


def document(resource: Attributes, spans: Iterable[Span]) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest of one resource."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "traceId": span.context.trace_id,
        "spanId": span.context.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_unix_ns),
        "endTimeUnixNano": str(span.end_unix_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR} if span.is_error else {},
    }
    if span.parent_id:
        encoded["parentSpanId"] = span.parent_id
    return encoded


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
