"""The log lines of our own answers: one each, but never a flood, and nothing that may be secret."""

from __future__ import annotations

import logging

import pytest

from tidegate.contracts import outcomes
from tidegate.wire.director import Request
from tidegate.wire.own_answers import BURST, OwnAnswerLog


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "tidegate.answers")
    return caplog


def fields(record: logging.LogRecord) -> dict[str, object]:
    return record.fields  # type: ignore[attr-defined]


def test_a_line_says_who_asked_for_what_and_holds_no_query_and_no_header(lines: pytest.LogCaptureFixture) -> None:
    headers = [(b"Authorization", b"secret"), (b"Traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")]
    request = Request(b"POST", b"/path?token=secret", "a.b", headers, "1.2.3.4", 0.0, attempts=2)
    OwnAnswerLog().add("queue_full", 503, request, request.peer)
    [line] = lines.records
    assert fields(line) == {
        "reason": "queue_full",
        "status": 503,
        "peer": "1.2.3.4",
        "method": "POST",
        "host": "a.b",
        "path": "/path",
        "attempts": 2,
        "trace_id": "a" * 32,
    }


def test_a_flood_is_bounded_for_each_reason_and_the_rest_is_counted(lines: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = OwnAnswerLog(clock)
    for _ in range(1000):
        log.add("no_route", 404, None, "1.2.3.4")
    assert len(lines.records) == BURST
    log.add("bad_request", 400, None, "1.2.3.4")
    assert len(lines.records) == BURST + 1, "another reason has a bucket of its own"
    clock.now += 1.0
    log.add("no_route", 404, None, "1.2.3.4")
    assert fields(lines.records[-1])["omitted"] == 1000 - BURST
    clock.now += 1.0
    log.add("no_route", 404, None, "1.2.3.4")
    assert "omitted" not in fields(lines.records[-1])


@pytest.mark.parametrize("reason", outcomes.ALL.values(), ids=lambda reason: reason.code)
def test_the_level_follows_from_the_status(reason: outcomes.Reason, lines: pytest.LogCaptureFixture) -> None:
    OwnAnswerLog().add(reason.code, reason.status, None, "")
    expected = logging.DEBUG if reason.is_routine else logging.WARNING if reason.status >= 500 else logging.INFO
    assert [line.levelno for line in lines.records] == [expected]


def test_answers_to_probes_are_not_logged(lines: pytest.LogCaptureFixture) -> None:
    OwnAnswerLog().add("", 200, None, "")
    assert lines.records == []
