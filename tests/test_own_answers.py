"""Every answer that Tidegate makes itself, provoked on the hop that makes it: reason, status, Retry-After, form,
counter and log line. A new reason code fails here until it has a row."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

import activator.__main__ as activator_main
import gateway.__main__ as gateway_main
import queueproxy.__main__ as queueproxy_main
from gateway import ports as gateway_ports
from tests.support.hop_worlds import HOPS, ROUTED, SHORT_S, World, clear_text, close, hang, never_there, world
from tests.support.hops import client
from tests.support.wire import Peer, WireAnswer
from tidegate.contracts import outcomes
from tidegate.wire.limits import ServerTimers

# --- how each reason is provoked ---


async def no_host(w: World) -> WireAnswer:
    return await (await w.send("GET / HTTP/1.1\r\n\r\n")).answer()


async def long_target(w: World) -> WireAnswer:
    return await w.ask(path="/" + "x" * (17 << 10))


async def large_head(w: World) -> WireAnswer:
    return await w.ask("X-Large: " + "x" * (65 << 10) + "\r\n")


async def other_expectation(w: World) -> WireAnswer:
    return await w.ask("Expect: a-miracle\r\nContent-Length: 1\r\n", method="POST")


async def connect(w: World) -> WireAnswer:
    return await (await w.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")).answer()


async def half_a_head(w: World) -> WireAnswer:
    return await (await w.send("GET / HTTP/1.1\r\nHo")).answer()


async def half_a_body(w: World) -> WireAnswer:
    return await w.ask("Content-Length: 10\r\n", method="POST")


async def one_more(w: World) -> WireAnswer:
    for _ in range(3):
        peer = await w.send("")
    return await peer.answer()


async def a_request(w: World) -> WireAnswer:
    return await w.ask()


async def one_in_flight(w: World) -> Peer:
    peer = await w.begin()
    async with client() as fetch:
        while b"_requests_in_flight 1.0\n" not in (await fetch(w.metrics_port, "/metrics")).body:
            await asyncio.sleep(0.005)
    return peer


async def drain_with_one_in_flight(w: World) -> WireAnswer:
    peer = await one_in_flight(w)
    w.stopping.set()
    return await peer.answer()


async def probe_while_draining(w: World) -> WireAnswer:
    await one_in_flight(w)  # which keeps the port open
    w.stopping.set()
    while (answer := await w.ask("K-Network-Probe: queue\r\n")).status == 200:
        pass
    return answer


async def other_host(w: World) -> WireAnswer:
    return await w.ask(host="nobody.localhost")


async def probe_of_a_cold_one(w: World) -> WireAnswer:
    more = "User-Agent: kube-probe/1.31\r\n" if w.hop == "gateway" else "X-Tidegate-Uncounted: 1\r\n"
    return await w.ask(more)


async def uncounted(w: World) -> WireAnswer:
    return await w.ask("X-Tidegate-Uncounted: 1\r\n")


async def unknown_revision(w: World) -> WireAnswer:
    peer = await w.send(
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n" + ROUTED.replace("0001", "0009") + "\r\n"
    )
    return await peer.answer()


async def strange_probe(w: World) -> WireAnswer:
    return await w.ask("K-Network-Probe: who\r\n")


async def probe_of_the_app(w: World) -> WireAnswer:
    return await w.ask("K-Network-Probe: queue\r\n")


async def the_last_of_several(w: World, count: int = 12) -> WireAnswer:
    for _ in range(count - 1):
        await w.begin()
    full = r"_queue_depth 10\.0|_requests_waiting 1\.0"
    async with client() as fetch:
        while not re.search(full, (await fetch(w.metrics_port, "/metrics")).body.decode()):
            await asyncio.sleep(0.005)
    return await w.ask()


@dataclass(frozen=True)
class Row:
    """How `hop` comes to answer with `reason`. `has_request`: its head was valid, so it can ask for a form."""

    reason: outcomes.Reason
    hop: str
    provoke: Callable[[World], Awaitable[WireAnswer]]
    script: Callable[[Peer], Awaitable[None]] = hang
    settings: dict[str, object] = field(default_factory=dict)
    has_request: bool = True


ENGINE = [
    (outcomes.BAD_REQUEST, no_host),
    (outcomes.URI_TOO_LONG, long_target),
    (outcomes.HEAD_TOO_LARGE, large_head),
    (outcomes.EXPECTATION_FAILED, other_expectation),
    (outcomes.UPGRADE_REFUSED, connect),
    (outcomes.HEAD_TIMEOUT, half_a_head),
]
ROWS = [
    *(Row(reason, hop, provoke, has_request=False) for reason, provoke in ENGINE for hop in HOPS),
    *(Row(outcomes.UPSTREAM_FAILED, hop, a_request, close) for hop in HOPS),
    *(Row(outcomes.INTERNAL_ERROR, hop, a_request, settings={"is_broken": True}) for hop in HOPS),
    *(Row(outcomes.BODY_TIMEOUT, hop, half_a_body) for hop in HOPS),
    Row(outcomes.TOO_MANY_CONNECTIONS, "gateway", one_more, settings={"connections_limit": 2}, has_request=False),
    Row(outcomes.NO_ROUTE, "gateway", other_host),
    Row(outcomes.REDIRECTED, "gateway", a_request, never_there, {"is_redirected": True}),
    Row(outcomes.ASLEEP, "gateway", probe_of_a_cold_one, never_there),
    Row(outcomes.NO_ACTIVATOR, "gateway", a_request, never_there),
    Row(outcomes.DRAINING, "gateway", drain_with_one_in_flight),
    Row(outcomes.ASLEEP, "activator", probe_of_a_cold_one, never_there),
    Row(outcomes.BAD_PROBE, "activator", strange_probe),
    Row(outcomes.UNKNOWN_REVISION, "activator", unknown_revision, settings={"revision_wait_s": SHORT_S}),
    Row(outcomes.WAITING_ROOM_FULL, "activator", the_last_of_several, never_there, {"waiting_capacity": 1}),
    Row(outcomes.ACTIVATION_TIMEOUT, "activator", a_request, never_there, {"timeoutSeconds": SHORT_S}),
    Row(outcomes.UPSTREAM_CONNECT_FAILED, "activator", uncounted, settings={"is_refusing": True}),
    Row(outcomes.UPSTREAM_CERTIFICATE_REFUSED, "activator", uncounted, clear_text, {"is_secure": True}),
    Row(outcomes.REQUEST_TIMEOUT, "activator", a_request, settings={"timeoutSeconds": SHORT_S}),
    Row(outcomes.RESPONSE_START_TIMEOUT, "activator", a_request, settings={"responseStartTimeoutSeconds": SHORT_S}),
    Row(outcomes.IDLE_TIMEOUT, "activator", a_request, settings={"idleTimeoutSeconds": SHORT_S}),
    Row(outcomes.DRAINING, "activator", drain_with_one_in_flight),
    Row(outcomes.BAD_PROBE, "queueproxy", strange_probe),
    Row(outcomes.NOT_READY, "queueproxy", probe_of_the_app, settings={"is_refusing": True}),
    Row(outcomes.QUEUE_FULL, "queueproxy", the_last_of_several, settings={"container_concurrency": 1}),
    Row(outcomes.UPSTREAM_CONNECT_FAILED, "queueproxy", a_request, settings={"is_refusing": True}),
    Row(outcomes.REQUEST_TIMEOUT, "queueproxy", a_request, settings={"timeout_s": SHORT_S}),
    Row(outcomes.RESPONSE_START_TIMEOUT, "queueproxy", a_request, settings={"response_start_timeout_s": SHORT_S}),
    Row(outcomes.IDLE_TIMEOUT, "queueproxy", a_request, settings={"idle_timeout_s": SHORT_S}),
    Row(outcomes.DRAINING, "queueproxy", probe_while_draining),
]
ELSEWHERE: frozenset[str] = frozenset()
"""Reasons whose answers are asserted in another test of the same form; it is named beside them."""


def test_every_reason_has_a_row() -> None:
    assert {row.reason.code for row in ROWS} | ELSEWHERE == set(outcomes.ALL)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.hop}-{row.reason.code}" for row in ROWS])
async def test_the_answer_says_why_and_is_counted_and_logged(
    row: Row, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "tidegate.answers")
    # Short only where it is what is tested: a test machine may stand still for a moment.
    head_s = SHORT_S if row.reason is outcomes.HEAD_TIMEOUT else 10.0
    body_s = SHORT_S if row.reason is outcomes.BODY_TIMEOUT else 10.0
    quick = ServerTimers(body_stalled_s=body_s, head_timeout_s=head_s, linger_s=SHORT_S, resolution_s=0.01)
    for module in (gateway_ports, activator_main, queueproxy_main):
        monkeypatch.setattr(module, "ServerTimers", lambda **_: quick)
    settings = dict(row.settings)
    if settings.pop("is_broken", False):
        module = {"gateway": gateway_main, "activator": activator_main, "queueproxy": queueproxy_main}[row.hop]
        monkeypatch.setattr(module.Pipeline, "direct", None)
    async with world(row.hop, row.script, **settings) as w, client() as fetch:
        answer = await row.provoke(w)
        assert (answer.status, answer.reason) == (row.reason.status, row.reason.code), answer
        assert answer.header("retry-after") == (str(row.reason.retry_after_s) if row.reason.retry_after_s else None)
        if row.has_request:
            assert answer.header("content-type") == "application/json"
            said = json.loads(answer.body)
            assert said["reason"] == row.reason.code
            assert said["error"]
        else:
            assert answer.body.decode().startswith(row.reason.text)
        [line, *_] = [record for record in caplog.records if _fields(record).get("reason") == row.reason.code]
        assert _fields(line)["status"] == row.reason.status
        assert _fields(line)["peer"] == "127.0.0.1"
        assert ("method" in _fields(line)) is row.has_request
        assert (line.levelno == logging.DEBUG) is row.reason.is_routine
        if w.stopping.is_set():
            return  # its metrics end with it
        page = (await fetch(w.metrics_port, "/metrics")).body.decode()
        assert re.search(
            rf'^tidegate_{row.hop}_own_answers_total{{reason="{row.reason.code}"}} [1-9]', page, re.MULTILINE
        )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return getattr(record, "fields", {})
