"""Spans of one request through all three hops, as a collector receives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from activator.__main__ import serve as serve_activator
from activator.config import Config as ActivatorConfig
from gateway.__main__ import serve
from gateway.config import Config
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.collector import collector, spans_of
from tests.support.fake_api import FakeApi
from tests.support.hops import App, client, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route, put_system
from tidegate.contracts import names, trace_context
from tidegate.process import span_export

HOST = "hello.default.localhost"
REVISION = "hello-00001"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%s"

Got = list[dict[str, Any]]


@asynccontextmanager
async def three_hops(api: FakeApi, app_port: int, endpoint: str, rate: float) -> AsyncIterator[tuple[int, int]]:
    """Run them with tracing; gives the gateway's port and the pod's, which no EndpointSlice names yet."""
    common = {"tracing_endpoint": endpoint, "tracing_sampling_rate": rate}

    def ports() -> dict[str, Any]:
        return {"admin_port": free_port(), "metrics_port": free_port()} | common

    front, middle, back = free_port(), free_port(), free_port()
    pod = PodConfig(serving_port=back, user_port=app_port, service="hello", drain_idle_s=0.0, **ports())
    holder = ActivatorConfig(serving_port=middle, drain_quiet_s=0.0, **ports())
    edge = Config(listen=f"127.0.0.1:{front}", drain_quiet_s=0.0, **ports())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(lambda stopping: serve_pod(pod, stopping), back))
        await stack.enter_async_context(running(lambda stopping: serve_activator(holder, api, stopping), middle))
        put_system(api, names.ACTIVATOR_SERVICE, [("127.0.0.1", True)], middle)
        await stack.enter_async_context(running(lambda stopping: serve(edge, api, stopping), front))
        yield front, back


async def trace(parent: str, rate: float, path: str = "/") -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Send one request that is held until its pod is there; gives the spans by service and name, and the app's head."""
    api = FakeApi()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION)
    put_autoscaler(api, REVISION, "Proxy")
    async with collector() as (endpoint, got), App().running() as app, client() as fetch:
        async with three_hops(api, app.port, endpoint, rate) as (front, back):
            named = {"traceparent": parent, "tracestate": "vendor=1"} if parent else {}
            asked = asyncio.ensure_future(fetch(front, path, host=HOST, **named))
            await asyncio.sleep(0.05)
            assert not asked.done()
            put_pods(api, REVISION, [("127.0.0.1", True)], port=back)
            assert (await asked).status == 200
        spans = [span for document in got for span in spans_of(document)]
    by_name = {f"{span['service']} {span['name']}": span for span in spans}
    assert len(by_name) == len(spans)
    return by_name, app.heads[0]


@pytest.fixture(autouse=True)
def only_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "EVERY_S", 60.0)


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
        assert int(outer["startTimeUnixNano"]) <= int(inner["startTimeUnixNano"]) + 1_000_000
        assert int(inner["endTimeUnixNano"]) <= int(outer["endTimeUnixNano"]) + 1_000_000


@pytest.mark.parametrize(("parent", "rate"), [("", 0.0), (PARENT % "00", 1.0)], ids=["not drawn", "not by its parent"])
async def test_a_trace_that_is_not_sampled_costs_the_collector_nothing_and_goes_on(parent: str, rate: float) -> None:
    spans, head = await trace(parent, rate)
    assert spans == {}
    context = trace_context.parse(head["traceparent"].encode())
    assert context is not None and not context.is_sampled
    assert not parent or context.trace_id == parent.split("-")[1]
