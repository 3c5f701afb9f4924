"""Requests have ids, and what turned out to be true of them is told later, passed on by id, and its lag counted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runtimes.failures import InferenceError
from runtimes.protocol import truth
from runtimes.truths import Truths
from tests.support.events import event_sink
from tests.support.model_servers import Doubler, client_of, serving

ROWS = {"instances": [[1.0, 2.0, 3.0, 4.0]]}
TRUTH = "dev.tidegate.serving.inference.truth"


async def test_an_id_is_made_where_none_is_sent_and_is_in_both_halves_and_on_the_answer() -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url) as frame,
        client_of(frame) as http,
    ):
        _, _, made = await http.call("POST", "/v1/models/double:predict", ROWS, **{"X-Group-Request-Id": "visit-7"})
        _, _, sent = await http.call("POST", "/v1/models/double:predict", ROWS, **{"X-Request-Id": "mine"})
        _, _, bad = await http.call("POST", "/v1/models/double:predict", ROWS, **{"X-Request-Id": "no spaces"})
        await to.until(6)
    assert re.fullmatch(r"[0-9a-f-]{36}", made["X-Request-ID"]) and made["X-Group-Request-Id"] == "visit-7"
    assert sent["X-Request-ID"] == "mine" and "X-Group-Request-Id" not in sent
    assert bad["X-Request-ID"] != "no spaces"
    told = [(headers["ce-requestid"], headers.get("ce-grouprequestid")) for headers, _ in to.got]
    assert sorted(told, key=str) == sorted(
        2 * [(made["X-Request-ID"], "visit-7"), ("mine", None), (bad["X-Request-ID"], None)], key=str
    )


async def test_the_truth_is_passed_on_with_the_id_and_the_time_it_came_about() -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url) as frame,
        client_of(frame) as http,
    ):
        _, _, asked = await http.call("POST", "/v1/models/double:predict", ROWS)
        report = {
            "request_id": asked["X-Request-ID"],
            "truth": {"label": 4},
            "observed_at": "2026-01-31T12:00:00+01:00",
        }
        assert await http.post("/feedback", report) == (202, {"joined": True})
        assert await http.post("/feedback", {"request_id": "of-another-pod", "truth": 1}) == (202, {"joined": False})
        await to.until(4)
        _, page = await http.get("/metrics")
    events = {headers["ce-requestid"]: (headers, body) for headers, body in to.got if headers["ce-type"] == TRUTH}
    headers, body = events[asked["X-Request-ID"]]
    assert json.loads(body) == {"label": 4}
    assert headers["ce-observedtime"] == "2026-01-31T11:00:00.000Z"
    assert "ce-observedtime" not in events["of-another-pod"][0]
    assert b'model_truths_total{request="joined"} 1' in page and b'{request="unknown"} 1' in page
    assert b'model_truth_lag_seconds_bucket{le="60"} 1' in page and b"model_truth_lag_seconds_count 1" in page


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"request_id": "a"}, "truth is missing"),
        ({"truth": 1}, "request_id is not a text"),
        ({"truth": 1, "request_id": "x" * 129}, "request_id is not a text"),
        ({"truth": 1, "request_id": "a", "observed_at": "yesterday"}, "'yesterday' is no time"),
        ({"truth": 1, "request_id": "a", "observed_at": "2026-01-31T12:00:00"}, "has no zone"),
        ([], "write {"),
    ],
)
def test_a_report_that_cannot_be_says_why(report: Any, message: str) -> None:
    with pytest.raises(InferenceError, match=re.escape(message)):
        truth.decode(json.dumps(report).encode())


async def test_a_truth_that_finds_no_room_is_refused_and_not_lost_silently() -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url, payload_log_queue=1) as frame,
        client_of(frame) as http,
    ):
        to.gate.clear()
        statuses = [(await http.post("/feedback", {"request_id": "a", "truth": 1}))[0] for _ in range(9)]
        to.gate.set()
    assert set(statuses) == {202, 429}


def test_the_oldest_are_forgotten_and_lags_are_counted() -> None:
    known = Truths(limit=2)
    for number in range(3):
        known.answered(f"r{number}", 100.0 + number)
    assert [known.take(f"r{number}", 112.0) for number in range(3)] == [False, True, True]
    lines = known.render()
    assert 'model_truth_lag_seconds_bucket{le="10"} 1' in lines, "r2 took 10 s, r1 11 s"
    assert 'model_truth_lag_seconds_bucket{le="60"} 2' in lines
    assert "model_truth_lag_seconds_sum 21" in lines


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_clock_shows_in_utc_is_refused(when: str) -> None:
    with pytest.raises(InferenceError, match="outside of the years"):
        truth.decode(json.dumps({"request_id": "a", "truth": 1, "observed_at": when}).encode())
