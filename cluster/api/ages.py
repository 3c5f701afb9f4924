"""Timestamps as ages, the way kubectl prints them. Pure: the current time is an argument, in Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "<unknown>"


def unix(text: str | None) -> float | None:
    """Return an RFC 3339 timestamp in Unix seconds, None when there is none or it cannot be read."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def since(text: str | None, now_unix: float) -> str:
    """Return how long ago a timestamp is, `<unknown>` when there is none."""
    then = unix(text)
    return UNKNOWN if then is None else human_age(now_unix - then)


def human_age(seconds: float) -> str:
    """Return a duration with two units at most, the finer one only while it says something: 5s, 3m20s, 2h5m, 4d3h."""
    whole = int(seconds)
    if whole < 0:
        return "<invalid>" if whole < -1 else "0s"
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(coarse: int, coarse_unit: str, fine: int, fine_unit: str) -> str:
    return f"{coarse}{coarse_unit}{fine}{fine_unit}" if fine else f"{coarse}{coarse_unit}"
