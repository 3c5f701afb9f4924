"""Payloads are logged as CloudEvents beside the requests: both halves, bounded, and never in the way of an answer."""

from __future__ import annotations

import asyncio
import re

import pytest

from runtimes import payload_log
from runtimes.payload_log import PayloadLog
from runtimes.protocol import payload_events
from tests.support.events import event_sink
from tests.support.model_servers import Client, Doubler, client_of, serving
from tidegate.process.settings import SettingsError

ROWS = {"instances": [[1.0, 2.0, 3.0, 4.0]]}


async def metric(http: Client, result: str) -> int:
    _, page = await http.get("/metrics")
    found = re.search(rf'^model_payload_log_events_total{{result="{result}"}} (\d+)$', page.decode(), re.MULTILINE)
    assert found is not None, page
    return int(found[1])


async def test_both_halves_come_with_one_id_and_say_what_they_are_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_REVISION", "double-00001")
    about = "source=/ml/double,inferenceservicename=double,component=predictor"
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url, payload_log_attributes=about) as frame,
        client_of(frame) as http,
    ):
        status, _answer, _ = await http.call(
            "POST",
            "/v1/models/double:predict",
            ROWS,
            **{"X-Request-Id": "r1", "X-Group-Request-Id": "g1", "Cookie": "s"},
        )
        await to.until(2)
    assert status == 200
    halves = {headers["ce-type"]: (headers, body) for headers, body in to.got}
    first, asked = halves["org.kubeflow.serving.inference.request"]
    second, answered = halves["org.kubeflow.serving.inference.response"]
    assert (asked, answered) == (b'{"instances": [[1.0, 2.0, 3.0, 4.0]]}', b'{"predictions":[[2.0,4.0,6.0,8.0]]}')
    assert first["ce-id"] == second["ce-id"] != ""
    for headers in (first, second):
        assert headers["ce-specversion"] == "1.0"
        assert (headers["ce-source"], headers["ce-inferenceservicename"]) == ("/ml/double", "double")
        assert (headers["ce-revision"], headers["ce-component"]) == ("double-00001", "predictor")
        assert (headers["ce-requestid"], headers["ce-grouprequestid"]) == ("r1", "g1")
        assert headers["ce-endpoint"] == "/v1/models/double:predict"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["ce-time"])
        assert "cookie" not in headers
    assert (second["ce-httpstatus"], second["ce-modelversion"]) == ("200", "1")


@pytest.mark.parametrize(("mode", "kinds"), [("request", ["request"]), ("response", ["response"])])
async def test_one_half_alone(mode: str, kinds: list[str]) -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url, payload_log_mode=mode) as frame,
        client_of(frame) as http,
    ):
        await http.post("/v1/models/double:predict", ROWS)
        await to.until(1)
    assert [headers["ce-type"].rpartition(".")[2] for headers, _ in to.got] == kinds


async def test_failures_are_logged_and_what_is_no_inference_is_not() -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url) as frame,
        client_of(frame) as http,
    ):
        await http.get("/v2/models/double")
        await http.post("/v2/repository/index", {})
        assert (await http.post("/v1/models/double:predict", {"wrong": 1}))[0] == 400
        await to.until(2)
    statuses = [headers.get("ce-httpstatus") for headers, _ in to.got]
    assert sorted(statuses, key=str) == ["400", None]


async def test_a_sink_that_stands_still_delays_nobody_and_what_finds_no_room_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload_log, "SEND_TIMEOUT_S", 600.0)
    async with (
        event_sink() as to,
        serving(
            Doubler(), model_name="double", payload_log_url=to.url, payload_log_queue=3, payload_log_mode="request"
        ) as frame,
        client_of(frame) as http,
    ):
        to.gate.clear()
        answers = [await http.post("/v1/models/double:predict", ROWS) for _ in range(20)]
        assert {status for status, _ in answers} == {200}
        # Four are being sent and three wait; the rest found no room.
        assert (await metric(http, "dropped"), await metric(http, "sent")) == (13, 0)
        to.gate.set()
        await to.until(7)


async def test_a_sink_that_refuses_costs_the_event_and_no_more() -> None:
    async with (
        event_sink() as to,
        serving(Doubler(), model_name="double", payload_log_url=to.url, payload_log_mode="request") as frame,
        client_of(frame) as http,
    ):
        to.status = 503
        assert (await http.post("/v1/models/double:predict", ROWS))[0] == 200
        await to.until(1)
        async with asyncio.timeout(30):
            while await metric(http, "failed") == 0:
                await asyncio.sleep(0.01)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="payload_log_url: 'kafka://x' is no URL"):
        PayloadLog("kafka://x", "all", 10, {})
    with pytest.raises(ValueError, match="payload_log_mode: 'some'"):
        PayloadLog("http://x/", "some", 10, {})
    with pytest.raises(ValueError, match="'Bad-Name=1' is not name=value"):
        payload_events.attributes("a=1,Bad-Name=1")


async def test_a_server_with_a_wrong_sink_does_not_start() -> None:
    with pytest.raises(SettingsError, match="payload_log_url"):
        async with serving(Doubler(), payload_log_url="nowhere"):
            pass


def test_what_a_client_wrote_ends_no_header() -> None:
    made = payload_events.of_request({}, "1", 0.0, "/x\r\ny", {b"x-request-id": b"a\r\nevil: 1" + b"x" * 400}, b"")
    assert not [value for value in made.headers.values() if "\n" in value or "\r" in value or len(value) > 256]


async def test_a_password_in_the_sinks_address_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    to = "http://ann:secret@127.0.0.1:1/"
    async with serving(Doubler(), model_name="m", payload_log_url=to) as frame, client_of(frame) as http:
        assert (await http.post("/v1/models/m:predict", ROWS))[0] == 200
        async with asyncio.timeout(30):
            while not await metric(http, "failed"):
                await asyncio.sleep(0.01)
    assert "payloads could not be sent to 127.0.0.1" in caplog.text
    assert "secret" not in caplog.text
