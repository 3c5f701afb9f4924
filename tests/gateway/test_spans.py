"""Spans of one request through all three hops, as a collector receives them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

import activator.__main__ as activator_main
import gateway.__main__ as gateway_main
import queueproxy.__main__ as queueproxy_main
from tests.support.collector import collector, spans_of
from tests.support.hops import App, client
from tests.support.three_hops import HOST, REVISION, three_hops
from tidegate.contracts import trace_context
from tidegate.process import span_export
from tidegate.wire.tracing import Tracing

HOPS = (gateway_main, activator_main, queueproxy_main)
ROUNDING_NS = 1_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%s"


async def trace(parent: str, rate: float, path: str = "/") -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Send one request that is held until its pod is there; gives the spans by service and name, and the app's head."""
    async with collector() as (endpoint, got), App().running() as app, client() as fetch:
        async with three_hops(app.port, tracing_endpoint=endpoint, tracing_sampling_rate=rate) as row:
            named = {"traceparent": parent, "tracestate": "vendor=1"} if parent else {}
            asked = asyncio.ensure_future(fetch(row.port, path, host=HOST, **named))
            await row.holds(fetch, 1)
            row.show_pod()
            assert (await asked).status == 200
        spans = [span for document in got for span in spans_of(document)]
    by_name = {f"{span['service']} {span['name']}": span for span in spans}
    assert len(by_name) == len(spans)
    return by_name, app.heads[0]


@pytest.fixture(autouse=True)
def only_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "EVERY_S", 3600.0)
    for limit in ("POST_TIMEOUT_S", "LAST_POST_TIMEOUT_S"):
        monkeypatch.setattr(span_export, limit, 60.0)


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans of all hops have times of one clock: between the readings of two a busy machine may stand still."""
    for hop in HOPS:
        monkeypatch.setattr(hop, "Tracing", partial(Tracing, clock=lambda: 0.0, wall_clock=lambda: 1e9))


@pytest.mark.parametrize(("parent", "rate"), [("", 1.0), (PARENT % "01", 0.0)], ids=["drawn", "sampled by its parent"])
async def test_each_hop_has_a_span_and_the_hold_is_a_child(parent: str, rate: float) -> None:
    spans, head = await trace(parent, rate, "/path?secret=1")
    assert spans.keys() == {"tidegate-gateway GET", "tidegate-activator GET", "tidegate-activator hold", "hello GET"}
    gateway, activator, hold, pod = (
        spans[f"{name}"]
        for name in ("tidegate-gateway GET", "tidegate-activator GET", "tidegate-activator hold", "hello GET")
    )
    assert gateway.get("parentSpanId", "") == (parent.split("-")[2] if parent else "")
    assert activator["parentSpanId"] == gateway["spanId"]
    assert hold["parentSpanId"] == activator["spanId"]
    assert pod["parentSpanId"] == activator["spanId"]
    context = trace_context.parse(head["traceparent"].encode())
    assert context == (pod["traceId"], pod["spanId"], True)
    assert head.get("tracestate") == ("vendor=1" if parent else None)
    assert {span["traceId"] for span in spans.values()} == {context.trace_id}
    said = gateway["attributes"]
    assert said["url.path"] == "/path"
    assert (said["http.request.method"], said["http.response.status_code"]) == ("GET", "200")
    assert (said["kn.revision.name"], said["server.address"], said["url.scheme"]) == (REVISION, HOST, "http")
    for outer, inner in ((gateway, activator), (activator, hold), (activator, pod)):
        assert int(outer["startTimeUnixNano"]) <= int(inner["startTimeUnixNano"])
        assert int(inner["endTimeUnixNano"]) <= int(outer["endTimeUnixNano"]) + ROUNDING_NS


@pytest.mark.parametrize(("parent", "rate"), [("", 0.0), (PARENT % "00", 1.0)], ids=["not drawn", "not by its parent"])
async def test_a_trace_that_is_not_sampled_costs_the_collector_nothing_and_goes_on(parent: str, rate: float) -> None:
    spans, head = await trace(parent, rate)
    assert spans == {}
    context = trace_context.parse(head["traceparent"].encode())
    assert context is not None and not context.is_sampled
    assert not parent or context.trace_id == parent.split("-")[1]


async def test_config_observability_says_where_spans_go() -> None:
    async with collector() as (endpoint, got), App().running() as app, client() as fetch:
        said = {"tracing-protocol": "http/protobuf", "tracing-endpoint": endpoint, "tracing-sampling-rate": "1"}
        async with three_hops(app.port, observability=said) as row:
            row.show_pod()
            assert (await fetch(row.port, host=HOST)).status == 200
        services = {span["service"] for document in got for span in spans_of(document)}
    assert services == {"tidegate-gateway", "tidegate-activator"}  # queueproxy hears of it by the controller
