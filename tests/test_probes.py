"""Probes and scrapers through all three hops: they neither wake, count nor keep a service, and get past no limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.hops import App, Reply, client
from tests.support.three_hops import HOST, Row, three_hops

Fetch = Callable[..., Awaitable[Reply]]

PROBES = {
    "the kubelet": ("/", {"user_agent": "kube-probe/1.31"}),
    "Knative's activator": ("/", {"user_agent": "Knative-Activator-Probe"}),
    "Knative's probe header": ("/", {"k_network_probe": "probe", "k_network_hash": "override"}),
    "the kubelet behind a mesh": ("/", {"k_kubelet_probe": "queue"}),
    "a configured agent": ("/", {"user_agent": "Prometheus/2.5"}),
    "a configured path": ("/metrics?full=1", {}),
}
SETTINGS = {"probe_paths": "/metrics", "probe_user_agents": "Prometheus/"}


async def counted(row: Row, fetch: Fetch, hop: str, name: str) -> float:
    page = (await fetch(row.metrics_ports[hop], "/metrics")).body.decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name)


@pytest.mark.parametrize("mode", ["Serve", "Proxy"])
@pytest.mark.parametrize("kind", PROBES)
async def test_a_probe_reaches_a_warm_app_and_counts_nowhere_that_scales(kind: str, mode: str) -> None:
    path, named = PROBES[kind]
    async with App().running() as app, client() as fetch, three_hops(app.port, mode=mode, edge=SETTINGS) as row:
        row.show_pod()
        assert (await fetch(row.port, "/ordinary", host=HOST)).status == 200
        for _ in range(3):
            assert (await fetch(row.port, path, host=HOST, **named)).body == b"app"
        assert len(app.heads) == 4
        assert "x-tidegate-uncounted" not in app.heads[-1]
        assert await counted(row, fetch, "queueproxy", "tidegate_queueproxy_requests_total") == 1
        assert await counted(row, fetch, "activator", "tidegate_activator_requests_total") == (mode == "Proxy")
        assert await counted(row, fetch, "gateway", "tidegate_gateway_wakes") == 0


@pytest.mark.parametrize("kind", PROBES)
async def test_a_probe_does_not_wake(kind: str) -> None:
    path, named = PROBES[kind]
    async with App().running() as app, client() as fetch, three_hops(app.port, edge=SETTINGS) as row:
        reply = await fetch(row.port, path, host=HOST, **named)
        assert (reply.status, reply.reason) == (503, "asleep")
        assert await counted(row, fetch, "gateway", "tidegate_gateway_wakes") == 0
        assert await counted(row, fetch, "activator", "tidegate_activator_requests_waiting") == 0
        assert app.heads == []


@pytest.mark.parametrize("mode", ["Serve", "Proxy"])
async def test_who_pretends_to_be_a_probe_gets_past_no_limit(mode: str) -> None:
    pretending = {
        "user_agent": "kube-probe/1.31",
        "k_network_probe": "queue",
        "x_tidegate_uncounted": "1",
        "k_kubelet_probe": "queue",
    }
    async with App().running() as app, client() as fetch, three_hops(app.port, mode=mode, concurrency=1) as row:
        row.show_pod()
        app.open.clear()
        asked = [asyncio.ensure_future(fetch(row.port, host=HOST, **pretending)) for _ in range(14)]
        async with asyncio.timeout(30):
            while sum(one.done() for one in asked) < 3:
                await asyncio.sleep(0.005)
        app.open.set()
        replies = await asyncio.gather(*asked)
        assert Counter(reply.status for reply in replies) == {200: 11, 503: 3}
        assert {reply.reason for reply in replies if reply.status == 503} == {"queue_full"}
        assert {reply.body for reply in replies if reply.status == 200} == {b"app"}
        assert app.peak == 1


@pytest.mark.parametrize("named", [{"user_agent": "kube-probe/1.31"}, {"k_kubelet_probe": "queue"}])
async def test_a_probe_of_the_pod_itself_passes_beside_the_limit_and_counts_nowhere(named: dict[str, str]) -> None:
    async with App().running() as app, client() as fetch, three_hops(app.port, mode="Serve", concurrency=1) as row:
        row.show_pod()
        running = asyncio.ensure_future(fetch(row.port, "/?held", host=HOST))
        while not app.in_flight:
            await asyncio.sleep(0.001)
        assert (await fetch(row.pod_port, **named)).body == b"app"
        assert not running.done()
        app.release.set()
        assert (await running).status == 200
        assert await counted(row, fetch, "queueproxy", "tidegate_queueproxy_requests_total") == 1
