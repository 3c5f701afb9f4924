"""Durations as Kubernetes and Knative write them (Go's format: `300ms`, `1m30s`, `2h`), in seconds."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds in a Go duration; raises ValueError for anything else.

    >>> parse_duration("1m30s")
    90.0
    """
    rest = text.strip()
    sign = -1.0 if rest.startswith("-") else 1.0
    rest = rest[1:] if rest[:1] in ("+", "-") else rest
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _PART.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest):
        raise ValueError(f"invalid duration {text!r}: write it like 30s, 1m30s or 500ms")
    return sign * round(total, 9)
