"""Cron expressions with a time zone: the last and the next moment that an expression means.

Five fields (minute, hour, day of month, month, day of week), each `*`, numbers, names (JAN, MON), ranges, lists and
steps; `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. As in cron, where both days are restricted either may
match, and Sunday is 0 or 7. Local time that a clock change leaves out means the moment of the change; local time that
comes twice means the first. Pure: times are seconds since 1970, handed in; zones come from the system or `tzdata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

REACH_DAYS = 366 * 8 + 2
"""How far back or ahead a moment is looked for: the 29th of February comes every eight years at the rarest."""
LENGTH_LIMIT = 200

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(\*|[0-9A-Z]+(?:-[0-9A-Z]+)?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression: the values that each field lets in. `days_of_week` has Sunday as 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]
    is_any_day: bool
    is_any_day_of_week: bool

    def has_day(self, day: date) -> bool:
        """Whether the expression means any moment of this day."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.days_of_week
        if self.is_any_day or self.is_any_day_of_week:
            return by_month and by_week
        return by_month or by_week


@lru_cache(maxsize=1024)
def parse(text: str) -> Cron:
    """Return a parsed expression; raises ValueError, whose text names the field."""
    if len(text) > LENGTH_LIMIT:
        raise ValueError(f"longer than {LENGTH_LIMIT} characters")
    words = _MACROS.get(text.strip().lower(), text).upper().split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(words)} fields, not minute, hour, day of month, month and day of week")
    values = [_field(word, *field) for word, field in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, days_of_week = values
    cron = Cron(
        minutes, hours, days, months, frozenset(day % 7 for day in days_of_week), words[2][0] == "*", words[4][0] == "*"
    )
    if not cron.is_any_day and cron.is_any_day_of_week and not _has_date(cron):
        raise ValueError(f"{text!r} means a day that no month has")
    return cron


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name; raises ValueError for one that is not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}: write it like Europe/Berlin") from error


def previous(cron: Cron, tz: ZoneInfo, unix_s: float) -> float | None:
    """Return the latest moment at or before `unix_s` that the expression means, None for none in eight years."""
    day = datetime.fromtimestamp(unix_s, tz).date() + timedelta(days=1)
    for _ in range(REACH_DAYS):
        if cron.has_day(day):
            moments = [moment for moment in _moments(cron, tz, day) if moment <= unix_s]
            if moments:
                return max(moments)
        day -= timedelta(days=1)
    return None


def following(cron: Cron, tz: ZoneInfo, unix_s: float) -> float | None:
    """Return the earliest moment after `unix_s` that the expression means, None for none in eight years."""
    day = datetime.fromtimestamp(unix_s, tz).date() - timedelta(days=1)
    for _ in range(REACH_DAYS):
        if cron.has_day(day):
            moments = [moment for moment in _moments(cron, tz, day) if moment > unix_s]
            if moments:
                return min(moments)
        day += timedelta(days=1)
    return None


def _moments(cron: Cron, tz: ZoneInfo, day: date) -> Iterator[float]:
    """Yield the moments of a day, in seconds since 1970."""
    for hour in cron.hours:
        for minute in cron.minutes:
            yield _moment(datetime.combine(day, time(hour, minute)), tz)


def _moment(local: datetime, tz: ZoneInfo) -> float:
    early = local.replace(tzinfo=tz, fold=0)
    unix_s = early.timestamp()
    if datetime.fromtimestamp(unix_s, tz).replace(tzinfo=None) == local:
        return unix_s
    return _change_before(unix_s, tz)


def _change_before(unix_s: float, tz: ZoneInfo) -> float:
    """Return the clock change that left out a local time; `unix_s` is what that time would have been without it."""
    low, high = int(unix_s) - 86_400, int(unix_s)
    offset = _offset(high, tz)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(middle, tz) == offset else (middle, high)
    return float(high)


def _offset(unix_s: int, tz: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(unix_s, UTC).astimezone(tz).utcoffset()


def _field(word: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{name} {word!r} is not a number, range, list or step")
        step = int(match[2] or 1)
        first, last = (low, high) if match[1] == "*" else _range(match[1], name, names, high if match[2] else None)
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{name} {word!r} is not within {low}-{high}")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _range(text: str, name: str, names: dict[str, int], open_end: int | None) -> tuple[int, int]:
    first, _, last = text.partition("-")
    begin = _number(first, name, names)
    if last:
        return begin, _number(last, name, names)
    return begin, begin if open_end is None else open_end


def _number(text: str, name: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(f"{name} {text!r} is not known")
    return int(text)


def _has_date(cron: Cron) -> bool:
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return any(min(cron.days) <= longest.get(month, 31) for month in cron.months)
