"""Cron expressions: fields, clock changes, and agreement with counting minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import cron

BERLIN = ZoneInfo("Europe/Berlin")


def unix(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def local(unix_s, zone=BERLIN):
    return datetime.fromtimestamp(unix_s, zone).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("0 8 * * 1-5", "2026-11-20T12:00", "2026-11-23T08:00+01:00"),
        ("0 8 * * MON-FRI", "2026-11-20T12:00", "2026-11-23T08:00+01:00"),
        ("0 8 * * 7", "2026-11-20T12:00", "2026-11-22T08:00+01:00"),
        ("*/20 * * * *", "2026-11-20T12:05", "2026-11-20T12:20+01:00"),
        ("10-30/10 6,18 * * *", "2026-11-20T06:31", "2026-11-20T18:10+01:00"),
        ("5/30 * * * *", "2026-11-20T06:06", "2026-11-20T06:35+01:00"),
        ("0 0 1 JAN *", "2026-11-20T06:31", "2027-01-01T00:00+01:00"),
        ("@monthly", "2026-11-20T06:31", "2026-12-01T00:00+01:00"),
        ("0 0 29 2 *", "2097-01-01T00:00", "2104-02-29T00:00+01:00"),
        # Both days restricted: either will do, as in cron.
        ("0 9 1 * MON", "2026-11-24T00:00", "2026-11-30T09:00+01:00"),
        ("0 9 1 * MON", "2026-11-30T10:00", "2026-12-01T09:00+01:00"),
        # The moment itself is not after itself.
        ("0 8 * * *", "2026-11-20T08:00", "2026-11-21T08:00+01:00"),
        # Clocks go forward on 29 March 2026 at 2:00: what they leave out means that moment, once.
        ("30 2 * * *", "2026-03-28T12:00", "2026-03-29T03:00+02:00"),
        ("30 2 * * *", "2026-03-29T03:00", "2026-03-30T02:30+02:00"),
        ("0 3 * * *", "2026-03-28T12:00", "2026-03-29T03:00+02:00"),
        # They go back on 25 October 2026 at 3:00: what comes twice means the first.
        ("30 2 * * *", "2026-10-24T12:00", "2026-10-25T02:30+02:00"),
        ("30 2 * * *", "2026-10-25T02:30", "2026-10-26T02:30+01:00"),
    ],
)
def test_following(text, at, expected):
    assert local(cron.following(cron.parse(text), BERLIN, unix(at))) == expected


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("0 8 * * 1-5", "2026-11-22T12:00", "2026-11-20T08:00+01:00"),
        ("0 8 * * *", "2026-11-20T08:00", "2026-11-20T08:00+01:00"),
        ("30 2 * * *", "2026-03-29T12:00", "2026-03-29T03:00+02:00"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2024-02-29T00:00+01:00"),
    ],
)
def test_previous(text, at, expected):
    assert local(cron.previous(cron.parse(text), BERLIN, unix(at))) == expected


def test_the_second_of_two_equal_hours_is_after_the_first():
    first = unix("2026-10-25T02:30")
    assert cron.following(cron.parse("30 2 * * *"), BERLIN, first + 1800) == unix("2026-10-26T02:30")
    assert cron.previous(cron.parse("30 2 * * *"), BERLIN, first + 5400) == first


@pytest.mark.parametrize(
    "name", ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "UTC"]
)
def test_zones_of_half_hours_and_none(name):
    zone = cron.zone(name)
    moment = cron.following(cron.parse("15 7 * * *"), zone, unix("2026-06-01T00:00", UTC))
    assert datetime.fromtimestamp(moment, zone).strftime("%H:%M") == "07:15"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("* * * *", "has 4 fields"),
        ("60 * * * *", "minute '60' is not within 0-59"),
        ("* 24 * * *", "hour '24' is not within 0-23"),
        ("* * 0 * *", "day of month '0' is not within 1-31"),
        ("* * * 13 *", "month '13' is not within 1-12"),
        ("* * * * 8", "day of week '8' is not within 0-7"),
        ("* * * * MOO", "day of week 'MOO' is not known"),
        ("5-1 * * * *", "minute '5-1' is not within 0-59"),
        ("*/0 * * * *", "minute '*/0' is not within 0-59"),
        ("1,,2 * * * *", "is not a number, range, list or step"),
        ("-1 * * * *", "is not a number, range, list or step"),
        ("0 0 31 2 *", "means a day that no month has"),
        ("@never", "has 1 fields"),
        ("x" * 300, "longer than 200 characters"),
    ],
)
def test_what_is_no_expression(text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("*", r"\*")):
        cron.parse(text)


@pytest.mark.parametrize("name", ["Berlin", "", "../../etc/passwd", "Europe/Berlin\0"])
def test_unknown_zones(name):
    with pytest.raises(ValueError, match="unknown time zone"):
        cron.zone(name)


minutes = st.sampled_from(["*", "0", "*/7", "5,50", "10-40/15"])
hours = st.sampled_from(["*", "0", "2", "3", "*/5", "22-23"])
days = st.sampled_from(["*", "1", "29-31", "*/3"])
weekdays = st.sampled_from(["*", "0", "1-5", "6,7"])
times = st.integers(int(unix("2026-01-01T00:00")), int(unix("2027-12-31T00:00")))


@given(minutes, hours, days, weekdays, times)
def test_agrees_with_counting_minutes(minute, hour, day, weekday, at):
    """In a zone without clock changes the next moment is the first minute that every field lets in."""
    expression = cron.parse(f"{minute} {hour} {day} * {weekday}")
    moment = datetime.fromtimestamp(at, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(3000):
        if (
            expression.has_day(moment.date())
            and moment.hour in expression.hours
            and moment.minute in expression.minutes
        ):
            break
        moment += timedelta(minutes=1)
    else:
        assert cron.following(expression, ZoneInfo("UTC"), at) > moment.timestamp() - 60
        return
    assert cron.following(expression, ZoneInfo("UTC"), at) == moment.timestamp()
    assert cron.previous(expression, ZoneInfo("UTC"), moment.timestamp()) == moment.timestamp()


@given(minutes, hours, times)
def test_previous_and_following_enclose_the_moment(minute, hour, at):
    expression = cron.parse(f"{minute} {hour} * * *")
    before, after = cron.previous(expression, BERLIN, at), cron.following(expression, BERLIN, at)
    assert before <= at < after
    assert cron.following(expression, BERLIN, before) == after
