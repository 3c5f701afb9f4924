"""Retries at the edge: on another pod, only when not one byte was taken, bounded, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.__main__ import serve
from gateway.config import Config
from tests.support.fake_api import FakeApi
from tests.support.hops import App, client, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route
from tests.support.wire import Peer, ScriptedUpstream
from tidegate.wire import balance

HOST = "hello.default.localhost"
REVISION = "hello-00001"


@asynccontextmanager
async def gateway(*pods: int) -> AsyncIterator[tuple[int, int]]:
    """Run a gateway before ready pods on these ports; gives its port and that of its metrics."""
    api = FakeApi()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION)
    put_autoscaler(api, REVISION, "Serve")
    for number, pod in enumerate(pods):
        put_pods(api, REVISION, [("127.0.0.1", True)], port=pod, name=f"{REVISION}-{number}")
    port, metrics = free_port(), free_port()
    config = Config(
        listen=f"127.0.0.1:{port}",
        admin_port=free_port(),
        metrics_port=metrics,
        activator_wait_s=0.2,
        drain_quiet_s=0.0,
    )
    async with running(lambda stopping: serve(config, api, stopping), port):
        yield port, metrics


async def counts(fetch, port: int) -> dict[str, float]:
    page = (await fetch(port, "/metrics")).body.decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    names = ("retries", "ejections")
    return {name: sum(one.value for one in samples if one.name == f"tidegate_gateway_{name}_total") for name in names}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_request_goes_to_another_pod_whole(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "FIRST_ASIDE_S", 3600.0)
    monkeypatch.setattr(balance, "LAST_ASIDE_S", 3600.0)
    async with App().running() as app, gateway(free_port(), app.port) as (port, metrics), client() as fetch:
        data = b"x" * 200_000 if method == "POST" else None
        replies = [await fetch(port, host=HOST, method=method, data=data) for _ in range(10)]
        assert {reply.body for reply in replies} == {b"200000" if data else b"app"}
        assert await counts(fetch, metrics) == {"retries": 1, "ejections": 1}  # set aside, not asked each time
        assert len(app.heads) == 10


async def test_what_a_pod_took_is_not_sent_again() -> None:
    async def takes_and_leaves(peer: Peer) -> None:
        await peer.head()

    taker = ScriptedUpstream(takes_and_leaves)
    await taker.start()
    try:
        async with gateway(taker.port) as (port, metrics), client() as fetch:
            for method in ("POST", "GET"):
                reply = await fetch(port, host=HOST, method=method, data=b"once" if method == "POST" else None)
                assert (reply.status, reply.reason) == (502, "upstream_failed")
            assert len(taker.peers) == 2
            assert await counts(fetch, metrics) == {"retries": 0, "ejections": 0}
    finally:
        await taker.stop()


async def test_with_no_pod_that_accepts_the_end_is_bounded() -> None:
    async with gateway(*(free_port() for _ in range(20))) as (port, metrics), client() as fetch:
        async with asyncio.timeout(30):
            reply = await fetch(port, host=HOST)
        assert (reply.status, reply.reason) in ((502, "upstream_connect_failed"), (503, "no_activator"))
        seen = await counts(fetch, metrics)
        assert 1 <= seen["retries"] <= 10
