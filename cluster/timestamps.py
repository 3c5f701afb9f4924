"""RFC 3339 times as Kubernetes objects carry them, to and from Unix seconds.

Pure: the caller stamps `now`. Seconds resolution, as Kubernetes writes it, and microseconds where a kind asks for it.
"""

from __future__ import annotations

import datetime


def text(unix_s: float) -> str:
    """Return `2026-01-31T12:00:00Z` for Unix seconds."""
    return _utc(unix_s).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_text(unix_s: float) -> str:
    """Return `2026-01-31T12:00:00.123456Z` (MicroTime, used by Leases)."""
    return _utc(unix_s).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unix_s(stamp: str | None) -> float:
    """Return Unix seconds of an RFC 3339 time; 0.0 for an absent or unreadable one."""
    if not stamp:
        return 0.0
    try:
        return datetime.datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def _utc(unix: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix, datetime.UTC)
