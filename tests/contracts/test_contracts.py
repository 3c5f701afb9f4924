"""Names, durations, outcomes and reports: the small values that every process spells alike."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import names, outcomes, report
from tidegate.contracts.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("0", 0.0), ("1.5s", 1.5), ("-2s", -2.0)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "1d", "1s2", "--1s", "1sx"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_names_of_children():
    assert names.revision_name("hello", 1) == "hello-00001"
    assert names.deployment_name("hello-00001") == "hello-00001-deployment"
    long = "a" * 60
    digest = hashlib.md5(long.encode()).hexdigest()
    assert names.child_name(long, "-00001") == "a" * 25 + digest + "-00001"


@given(st.text("abc-", min_size=1, max_size=63), st.text("xyz", max_size=63))
def test_child_names_always_fit_a_label(parent, suffix):
    assert len(names.child_name(parent, suffix)) <= 63


def test_every_reason_is_listed_once_under_its_code():
    assert outcomes.ALL["no_route"] is outcomes.NO_ROUTE
    for code, reason in outcomes.ALL.items():
        assert code == reason.code
        assert reason.status == 301 or 400 <= reason.status <= 599
        assert reason.text


reports = st.builds(
    report.Report,
    namespace=st.text(max_size=10),
    revision=st.text(max_size=10),
    sequence=st.integers(0, 2**40),
    interval_s=st.floats(0, 10),
    concurrency=st.floats(0, 1e6),
    requests=st.integers(0, 2**31),
    is_first=st.booleans(),
)


@given(st.one_of(reports, st.builds(report.Reports, st.lists(reports, max_size=4))))
def test_frames_round_trip(message):
    frame = report.encode(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert report.decode(frame[4:]) == message


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", msgspec.msgpack.encode(["other", 1]), msgspec.msgpack.encode(["report"])]
)
def test_foreign_frames_are_refused(body):
    with pytest.raises((msgspec.DecodeError, msgspec.ValidationError)):
        report.decode(body)


def test_a_token_speaks_for_one_revision_only():
    key = b"k" * 32
    hello = report.Hello("queueproxy", "p", "default", "a", report.token(key, "default", "a"))
    assert report.is_token_valid(key, hello)
    assert not report.is_token_valid(key, msgspec.structs.replace(hello, revision="b"))
    assert not report.is_token_valid(key, msgspec.structs.replace(hello, revision="*"))
    assert not report.is_token_valid(b"x" * 32, hello)
