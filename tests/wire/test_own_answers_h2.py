"""Answers of ours over HTTP/2: the same reason, counter and log line as over HTTP/1.1."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.support.wire import PATIENCE_S, Peer, rig
from tidegate.contracts import outcomes
from tidegate.wire.answers import answer_of


def client_of_http2() -> httpx.AsyncClient:
    return httpx.AsyncClient(http1=False, http2=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
async def test_the_answer_says_why_and_is_counted_and_logged(accept: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tidegate.answers")
    full = answer_of(outcomes.QUEUE_FULL)
    async with rig(direct=lambda request, port: full) as running, client_of_http2() as client:
        url = f"http://127.0.0.1:{running.server.port}/path?query=1"
        answer = await client.get(url, headers={"Accept": accept})
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 503)
        assert (answer.headers["x-tidegate-reason"], answer.headers["retry-after"]) == ("queue_full", "1")
        if accept == "application/json":
            assert answer.json() == {"error": "pending request queue full", "reason": "queue_full"}
        else:
            assert answer.text == "pending request queue full"
        assert running.server.counters.answers == {"queue_full": 1}
        [line] = [record for record in caplog.records if record.name == "tidegate.answers"]
        assert (line.fields["reason"], line.fields["path"]) == ("queue_full", "/path")  # type: ignore[attr-defined]


async def test_sizes_are_counted_over_http2_too() -> None:
    async def chunks(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n")
        await peer.flush()

    async with rig(chunks) as running, client_of_http2() as client:
        assert (await client.get(f"http://127.0.0.1:{running.server.port}/")).content == b"helloyou"
        await running.director.all_finished()
        assert running.director.outcomes[0].answer_bytes == 8
