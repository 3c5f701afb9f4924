"""Scheduled bounds: at which times a revision has another minimum or maximum of pods.

The annotation is a JSON list of `{"start": CRON, "end": CRON, "timezone": NAME, "min-scale": N, "max-scale": N}`. An
entry is in force from a moment that `start` means until the next that `end` means. What it names replaces the bound of
the annotation; of several in force the highest of each counts. Pure: times are seconds since 1970, handed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from tidegate.contracts import cron
from tidegate.contracts.numbers import INT32_MAX

ENTRIES_LIMIT = 32
LENGTH_LIMIT = 8192


class Entry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """One line of a schedule, as written."""

    start: str
    end: str
    timezone: str = "UTC"
    min_scale: int | None = None
    max_scale: int | None = None


class Bounds(msgspec.Struct, frozen=True):
    """What a schedule says at one moment (None: nothing), and when it says something else at the earliest."""

    min_scale: int | None = None
    max_scale: int | None = None
    until_unix_s: float = float("inf")


_decoder = msgspec.json.Decoder(list[Entry])


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Entry, ...]:
    """Return the entries of a schedule; raises ValueError, whose text names the entry and what is wrong with it."""
    if len(text) > LENGTH_LIMIT:
        raise ValueError(f"longer than {LENGTH_LIMIT} characters")
    try:
        entries = _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if len(entries) > ENTRIES_LIMIT:
        raise ValueError(f"more than {ENTRIES_LIMIT} entries")
    for index, entry in enumerate(entries):
        try:
            _check(entry)
        except ValueError as error:
            raise ValueError(f"entry {index}: {error}") from error
    return tuple(entries)


def bounds_at(entries: Iterable[Entry], unix_s: float) -> Bounds:
    """Return what the entries say at `unix_s`. Changes fall on whole minutes, so equal questions are answered once."""
    return _bounds_in(tuple(entries), math.floor(unix_s / 60))


@lru_cache(maxsize=4096)
def _bounds_in(entries: tuple[Entry, ...], minute: int) -> Bounds:
    unix_s = minute * 60.0
    lows, highs, changes = [], [], [float("inf")]
    for entry in entries:
        tz, start, end = cron.zone(entry.timezone), cron.parse(entry.start), cron.parse(entry.end)
        changes += [moment for one in (start, end) if (moment := cron.following(one, tz, unix_s)) is not None]
        began, ended = cron.previous(start, tz, unix_s), cron.previous(end, tz, unix_s)
        if began is None or (ended is not None and ended >= began):
            continue
        lows += [entry.min_scale] if entry.min_scale is not None else []
        highs += [entry.max_scale] if entry.max_scale is not None else []
    highest = 0 if 0 in highs else max(highs, default=None)
    return Bounds(max(lows, default=None), highest, min(changes))


def _check(entry: Entry) -> None:
    for name in ("start", "end"):
        try:
            cron.parse(getattr(entry, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    cron.zone(entry.timezone)
    if entry.min_scale is None and entry.max_scale is None:
        raise ValueError("it names neither min-scale nor max-scale")
    for name, value in (("min-scale", entry.min_scale), ("max-scale", entry.max_scale)):
        if value is not None and not 0 <= value <= INT32_MAX:
            raise ValueError(f"expected 0 <= {value} <= {INT32_MAX}: {name}")
    if entry.min_scale and entry.max_scale and entry.max_scale < entry.min_scale:
        raise ValueError(f"max-scale={entry.max_scale} is less than min-scale={entry.min_scale}")
