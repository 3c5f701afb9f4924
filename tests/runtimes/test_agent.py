"""The agent before a server of others: everything passes, payloads are logged, V1 predictions share batches."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from runtimes.agent.agent import Agent
from runtimes.agent.config import Config
from tests.support.events import event_sink
from tests.support.model_servers import Client, client_of
from tidegate.process.settings import SettingsError

PREDICT = "/v1/models/theirs:predict"


class Theirs:
    """A server of somebody else; `calls` are the bodies that it was asked."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.seen: list[dict[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0

    async def predict(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        self.calls.append(document)
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        await self.gate.wait()
        rows = document.get("instances", [])
        if any(row == "bad" for row in rows):
            return web.json_response({"error": "bad row"}, status=422, headers={"X-Why": "bad"})
        if any(row == "short" for row in rows):
            return web.json_response({"predictions": []})
        return web.json_response({"predictions": [row * 2 for row in rows]}, headers={"X-Model-Version": "7"})

    async def other(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/stream":
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(request)
            for number in range(3):
                await stream.write(b"data: %d\n\n" % number)
                await self.gate.wait()
            return stream
        said = {"method": request.method, "target": request.path_qs, "body": (await request.read()).decode()}
        return web.json_response(
            {**said, "host": request.headers["Host"]},
            status=203,
            headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
        )


@contextlib.asynccontextmanager
async def standing(**settings: Any) -> AsyncIterator[tuple[Theirs, Client, Agent]]:
    theirs = Theirs()
    app = web.Application()
    app.router.add_post(PREDICT, theirs.predict)
    app.router.add_route("*", "/{tail:.*}", theirs.other)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    theirs.port = runner.addresses[0][1]
    agent = Agent(dataclasses.replace(Config(user_port=theirs.port, port=0, drain_s=1.0), **settings))
    await agent.start()
    try:
        async with client_of(agent) as http:  # type: ignore[arg-type]
            yield theirs, http, agent
    finally:
        await agent.close()
        await runner.cleanup()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_what_is_no_prediction_passes_as_it_is(method: str) -> None:
    async with standing(max_batch_size=8) as (_, http, _agent):
        data = None if method == "GET" else b"\x00body"
        status, said, headers = await http.call(method, "/any/p%20th?a=1&b=%20", data=data, Host="mine.example")
        assert (status, said["method"], said["target"]) == (203, method, "/any/p%20th?a=1&b=%20")
        assert (said["body"], said["host"]) == ("" if data is None else "\x00body", "mine.example")
        assert headers["Content-Type"].startswith("application/json")


async def test_several_cookies_of_an_answer_stay_several() -> None:
    async with standing() as (_, _http, agent), aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{agent.port}/")
        async with answer:
            assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_a_stream_comes_piece_by_piece() -> None:
    async with standing() as (theirs, _, agent), aiohttp.ClientSession() as session:
        theirs.gate.clear()
        async with asyncio.timeout(30), session.get(f"http://127.0.0.1:{agent.port}/stream") as answer:
            assert await answer.content.readuntil(b"\n\n") == b"data: 0\n\n", "before the server has ended"
            theirs.gate.set()
            assert await answer.content.read() == b"data: 1\n\ndata: 2\n\n"


async def test_requests_share_calls_and_get_their_own_rows() -> None:
    async with standing(max_batch_size=100, max_batch_delay_ms=60_000) as (theirs, http, _):
        # The hundredth row fills the batch: nobody waits for a minute.
        asked = [list(range(begin, begin + 10)) for begin in range(0, 100, 10)]
        answers = await asyncio.gather(*(http.post(PREDICT, {"instances": rows}) for rows in asked))
        assert answers == [(200, {"predictions": [row * 2 for row in rows]}) for rows in asked]
        assert len(theirs.calls) == 1 and len(theirs.calls[0]["instances"]) == 100
        _, page = await http.get("/agent/metrics")
        assert b"agent_batches_total 1\n" in page and b"agent_batched_rows_total 100\n" in page


@pytest.mark.parametrize(("bad", "status"), [("bad", 422), ("short", 500)])
async def test_only_the_request_at_fault_fails_and_with_the_servers_own_words(bad: str, status: int) -> None:
    async with standing(max_batch_size=3, max_batch_delay_ms=60_000) as (theirs, http, _):
        good, wrong, other = await asyncio.gather(
            *(http.call("POST", PREDICT, {"instances": [row]}) for row in ("a", bad, "b"))
        )
        assert (good[1], other[1]) == ({"predictions": ["aa"]}, {"predictions": ["bb"]})
        assert wrong[0] == status
        assert [len(call["instances"]) for call in theirs.calls] == [3, 1, 1, 1]
        if bad == "bad":
            assert (wrong[1], wrong[2]["X-Why"]) == ({"error": "bad row"}, "bad")
        else:
            assert "answered 1 instances with 0 predictions" in wrong[1]["error"]


@pytest.mark.parametrize(
    ("document", "headers"),
    [
        ({"instances": [1], "signature_name": "s"}, {}),
        ({"inputs": [1]}, {}),
        ({"instances": []}, {}),
        ({"instances": [1]}, {"Authorization": "Bearer mine"}),
        ({"instances": [1]}, {"Cookie": "me"}),
    ],
)
async def test_what_must_not_be_joined_is_passed_on_alone(document: Any, headers: dict[str, str]) -> None:
    async with standing(max_batch_size=8, max_batch_delay_ms=60_000) as (theirs, http, _):
        async with asyncio.timeout(30):
            status, _, got = await http.call("POST", PREDICT, document, **headers)
        assert (status, got["X-Model-Version"], theirs.calls) == (200, "7", [document])
        assert all(theirs.seen[0][name.lower()] == value for name, value in headers.items())


async def test_more_than_may_wait_are_refused() -> None:
    async with standing(max_batch_size=1, max_queue_size=1) as (theirs, http, _):
        theirs.gate.clear()
        asked = [asyncio.create_task(http.post(PREDICT, {"instances": [number]})) for number in range(6)]
        done, waiting = await asyncio.wait(asked, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result()[0] for task in done} == {429}
        theirs.gate.set()
        assert {(await task)[0] for task in waiting} <= {200, 429}


async def test_both_halves_of_what_others_answer_are_logged_batched_or_not() -> None:
    async with event_sink() as sink:
        about = "source=/ml/theirs,inferenceservicename=theirs"
        settings = {"payload_log_url": sink.url, "payload_log_attributes": about, "max_batch_size": 4}
        async with standing(**settings) as (_, http, _agent):
            _, _, headers = await http.call("POST", PREDICT, {"instances": [1]})
            await http.post("/v2/models/theirs/infer", {"inputs": []})
            await http.get("/v2/models/theirs")
            await sink.until(4)
        assert headers["X-Request-ID"]
    kinds = [(told["ce-endpoint"], told["ce-type"].rpartition(".")[2]) for told, _ in sink.got]
    assert sorted(kinds) == sorted(
        [(path, half) for path in (PREDICT, "/v2/models/theirs/infer") for half in ("request", "response")]
    )
    assert all(told["ce-inferenceservicename"] == "theirs" for told, _ in sink.got)
    assert json.loads(
        next(body for told, body in sink.got if "ce-httpstatus" in told and told["ce-endpoint"] == PREDICT)
    ) == {"predictions": [2]}


async def test_a_server_that_is_gone_is_told_and_one_that_never_comes_ends_the_start() -> None:
    async with standing() as (_, http, agent):
        agent._proxy._url = "http://127.0.0.1:1"
        status, answer = await http.get("/any")
        assert status == 503 and "the model server" in answer["error"]
    late = Agent(Config(user_port=1, port=0, server_start_s=0.05))
    with pytest.raises(SettingsError, match=r"on port 1 took no connection within 0.05 s"):
        await late.start()
    await late.close()


def test_the_process_serves_until_sigterm() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = {**os.environ, "USER_PORT": str(server.getsockname()[1]), "PORT": "0"}
        command = [sys.executable, "-m", "runtimes.agent"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                assert any("before port" in line for line in process.stderr)
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match="USER_PORT is 0"):
        Config(user_port=0)
    with pytest.raises(ValueError, match="max_batch_size is not negative"):
        Config(user_port=1, max_batch_size=-1)
