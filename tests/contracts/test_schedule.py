"""Scheduled bounds: what an annotation says at which time."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tidegate.contracts import schedule
from tidegate.contracts.schedule import Bounds

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {"start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "timezone": "Europe/Berlin", "min-scale": 3}
NIGHT = {"start": "0 22 * * *", "end": "0 6 * * *", "timezone": "Europe/Berlin", "min-scale": 0, "max-scale": 2}


def unix(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def at(text, *entries):
    return schedule.bounds_at(schedule.parse(json.dumps(entries)), unix(text))


@pytest.mark.parametrize(
    ("when", "entries", "low", "high", "until"),
    [
        ("2026-11-20T07:59", [OFFICE], None, None, "2026-11-20T08:00"),
        ("2026-11-20T08:00", [OFFICE], 3, None, "2026-11-20T18:00"),
        ("2026-11-20T18:00", [OFFICE], None, None, "2026-11-23T08:00"),
        ("2026-11-21T12:00", [OFFICE], None, None, "2026-11-23T08:00"),
        # Over midnight.
        ("2026-11-20T23:00", [NIGHT], 0, 2, "2026-11-21T06:00"),
        ("2026-11-21T05:59", [NIGHT], 0, 2, "2026-11-21T06:00"),
        ("2026-11-21T06:00", [NIGHT], None, None, "2026-11-21T22:00"),
        # Several in force: the highest of each; a maximum of 0 is none and the highest of all.
        ("2026-11-20T10:00", [OFFICE, OFFICE | {"min-scale": 5}], 5, None, "2026-11-20T18:00"),
        ("2026-11-20T23:00", [NIGHT, NIGHT | {"max-scale": 9}], 0, 9, "2026-11-21T06:00"),
        ("2026-11-20T23:00", [NIGHT, NIGHT | {"max-scale": 0}], 0, 0, "2026-11-21T06:00"),
        # The hour that summer time leaves out begins when it begins.
        (
            "2026-03-29T03:00",
            [{"start": "30 2 * * *", "end": "0 4 * * *", "timezone": "Europe/Berlin", "min-scale": 1}],
            1,
            None,
            "2026-03-29T04:00",
        ),
    ],
)
def test_bounds(when, entries, low, high, until):
    assert at(when, *entries) == Bounds(low, high, unix(until))


def test_no_entries_say_nothing_for_ever():
    assert at("2026-11-20T10:00") == Bounds(None, None, float("inf"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "Expected `array`"),
        ("[1]", "Expected `object`"),
        ("nonsense", "JSON is malformed"),
        (json.dumps([OFFICE | {"start": "8"}]), "entry 0: start: '8' has 1 fields"),
        (json.dumps([NIGHT, OFFICE | {"end": "0 25 * * *"}]), "entry 1: end: hour '25'"),
        (json.dumps([OFFICE | {"timezone": "Mars"}]), "entry 0: unknown time zone 'Mars'"),
        (json.dumps([{"start": "0 8 * * *", "end": "0 9 * * *"}]), "names neither min-scale nor max-scale"),
        (json.dumps([OFFICE | {"min-scale": -1}]), "expected 0 <= -1 <= 2147483647: min-scale"),
        (json.dumps([OFFICE | {"max-scale": 2}]), "max-scale=2 is less than min-scale=3"),
        (json.dumps([OFFICE | {"minScale": 2}]), "unknown field `minScale`"),
        (json.dumps([OFFICE] * 33), "more than 32 entries"),
        ("[" + " " * 9000 + "]", "longer than 8192 characters"),
    ],
)
def test_what_is_no_schedule(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        schedule.parse(text)
