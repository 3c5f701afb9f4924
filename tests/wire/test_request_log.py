"""The request log of a hop: off by default, switched by config-observability, written in batches."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.heads import make_request, outcome
from tidegate.contracts.request_log import Entry
from tidegate.wire.director import Answer
from tidegate.wire.request_log import GATHERED_LIMIT, RequestLog, entry_of

pytestmark = pytest.mark.looptime

ON = {"data": {"logging.enable-request-log": "true"}}
TRACE = b"0af7651916cd43dd8448eb211c80319c"
ENTRY = Entry("GET", "/", "h", "HTTP/1.1", "10.0.0.1")


async def test_lines_are_written_together(looptime):
    written: list[str] = []
    log = RequestLog(written.append)
    log.configure(ON)
    for _ in range(3):
        log.add(ENTRY)
    assert written == []
    await asyncio.sleep(0.21)
    (text,) = written
    assert [json.loads(line)["httpRequest"]["remoteIp"] for line in text.splitlines()] == ["10.0.0.1"] * 3
    for _ in range(GATHERED_LIMIT + 1):
        log.add(ENTRY)
    assert len(written) == 2
    log.flush()
    assert len(written) == 2


async def test_it_is_off_until_told_and_a_bad_config_changes_nothing(caplog):
    log = RequestLog()
    assert not log.is_on
    log.configure(ON)
    log.configure({"data": {"logging.request-log-template": "{{.Nothing}}"}})
    assert log.is_on
    assert "Nothing" in caplog.text
    log.configure(None)
    assert not log.is_on


async def test_an_entry_says_what_is_known():
    request = make_request(user_agent="curl", content_length="12", referer="http://x/")
    entry = entry_of(
        request,
        outcome(Answer(404, "no_route", b"no"), 404),
        b"a: b\r\ntraceparent: 00-%b-b7ad6b7169203331-00\r\n" % TRACE,
    )
    assert (entry.status, entry.response_size, entry.request_size, entry.trace_id) == (404, 2, 12, TRACE.decode())
    assert (entry.user_agent, entry.referer, entry.latency_s) == ("curl", "http://x/", 0.01)
    traced = make_request(traceparent=f"00-{TRACE.decode()}-b7ad6b7169203331-01")
    assert entry_of(traced, outcome(), b"").trace_id == TRACE.decode()
    assert entry_of(make_request(traceparent="nonsense"), outcome(), b"").trace_id == ""
