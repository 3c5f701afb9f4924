"""Answers that the engine makes itself."""

from __future__ import annotations

import pytest

from tidegate.contracts import outcomes
from tidegate.wire import answers
from tidegate.wire.director import Answer, Failure, Request
from tidegate.wire.limits import Limits


def request(*headers: tuple[bytes, bytes], version: str = "1.1", method: bytes = b"GET") -> Request:
    return Request(method, b"/", "a", list(headers), "1.2.3.4", 0.0, version)


def test_every_failure_but_a_leaving_client_has_an_answer() -> None:
    for failure in Failure:
        if failure not in (Failure.CLIENT_GONE, Failure.BROKEN_ANSWER):
            answer = answers.answer_of_failure(failure)
            assert answer.status == outcomes.ALL[answer.reason].status


def test_retry_after_and_detail() -> None:
    answer = answers.answer_of(outcomes.QUEUE_FULL, "10 waiting", context=7)
    assert answer == Answer(
        503, "queue_full", b"pending request queue full: 10 waiting", ((b"Retry-After", b"1"),), context=7
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"Accept", b"application/json")], True),
        ([(b"Accept", b"text/html, Application/JSON;q=0.5")], True),
        ([(b"Accept", b"text/html"), (b"Content-Type", b"application/json")], False),
        ([(b"Accept", b"*/*"), (b"Content-Type", b"application/json; charset=utf-8")], True),
        ([(b"Content-Type", b"application/json")], True),
        ([], False),
    ],
)
def test_json_where_the_request_asks_for_it(headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    assert answers.wants_json(request(*headers)) is expected


def test_probe_answers_are_bare() -> None:
    rendered = answers.render(Answer(200, "", b"queue"), request(), keep_alive=True)
    head, _, body = rendered.partition(b"\r\n\r\n")
    assert body == b"queue"
    assert b"X-Tidegate-Reason" not in head
    assert b"Content-Length: 5" in head
    assert b"Connection" not in head


def test_statuses_without_a_body_have_no_length() -> None:
    rendered = answers.render(Answer(204), request(version="1.0"), keep_alive=True)
    assert b"Content-Length" not in rendered
    assert rendered.endswith(b"Connection: keep-alive\r\n\r\n")


def test_a_director_may_choose_the_type_of_its_body() -> None:
    answer = Answer(200, "", b"<p>", ((b"content-type", b"text/html"),))
    assert answers.render(answer, None, keep_alive=False).lower().count(b"content-type") == 1


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="body_low_bytes"):
        Limits(body_low_bytes=10, body_high_bytes=5)
    with pytest.raises(ValueError, match="target_bytes"):
        Limits(target_bytes=10_000_000)
