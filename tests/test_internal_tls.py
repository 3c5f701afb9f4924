"""TLS from the gateway to the app's pod (system-internal-tls): nothing goes in clear text, and nothing is lost when
certificates or the setting change."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from queueproxy import ports as queueproxy_ports
from tests.support.authority import Authority
from tests.support.hops import App, client
from tests.support.serving import put_autoscaler, put_pods, put_system_tls, write_pod_certificate
from tests.support.three_hops import HOST, REVISION, Row, three_hops
from tidegate.kube import resources

AUTHORITY = Authority()
PATIENCE_S = 30.0


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    write_pod_certificate(tmp_path, AUTHORITY)
    return tmp_path


async def count(row: Row, hop: str, name: str) -> int:
    async with client() as fetch:
        page = (await fetch(row.metrics_ports[hop], "/metrics")).body.decode()
    found = re.search(rf"^tidegate_{hop}_{re.escape(name)} ([0-9.]+)", page, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.mark.parametrize("mode", ["Serve", "Proxy"])
async def test_every_hop_is_encrypted(mode: str, certificates: Path) -> None:
    async with (
        App().running() as app,
        three_hops(app.port, mode=mode, authority=AUTHORITY, certificates=str(certificates)) as row,
        aiohttp.ClientSession() as session,
        client() as fetch,
    ):
        row.show_pod()
        for _ in range(3):
            assert (await fetch(row.port, host=HOST)).status == 200
        async with session.ws_connect(f"http://127.0.0.1:{row.port}/socket", headers={"Host": HOST}) as connection:
            await connection.send_str("hello")
            assert await connection.receive_str(timeout=PATIENCE_S) == "hello"
        said = {"through activator": mode == "Proxy"}
        assert await count(row, "gateway", 'upstream_connects_total{protocol="http1"}') == 0
        assert await count(row, "gateway", 'upstream_connects_total{protocol="http1_tls"}') > 0
        assert await count(row, "activator", 'upstream_connects_total{protocol="http1"}') == 0
        assert (await count(row, "activator", "tls_request_heads_total") >= 4) is said["through activator"]
        assert await count(row, "queueproxy", "tls_request_heads_total") == 4
        assert app.heads[0]["x-forwarded-proto"] == "http"  # what the client spoke


async def test_a_request_that_waits_for_a_pod_reaches_it_over_tls(certificates: Path) -> None:
    async with (
        App().running() as app,
        three_hops(app.port, authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        waiting = asyncio.ensure_future(fetch(row.port, host=HOST))
        await asyncio.sleep(0)
        # Not ready in Kubernetes' eyes: the activator asks it, over TLS.
        put_pods(row.api, REVISION, [("127.0.0.1", False)], port=row.pod_port, tls_port=row.tls_port)
        assert (await asyncio.wait_for(waiting, PATIENCE_S)).status == 200
        assert await count(row, "activator", 'upstream_connects_total{protocol="http1_tls"}') == 1


@pytest.mark.parametrize("mode", ["Serve", "Proxy"])
async def test_a_pod_with_a_certificate_of_another_namespace_gets_nothing(mode: str, certificates: Path) -> None:
    write_pod_certificate(certificates, AUTHORITY, "other")
    async with (
        App().running() as app,
        three_hops(app.port, mode=mode, authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        row.show_pod()
        reply = await fetch(row.port, host=HOST)
        assert (reply.status, reply.reason) == (502, "upstream_certificate_refused")
        assert app.heads == []
        hop = "activator" if mode == "Proxy" else "gateway"
        assert await count(row, hop, "upstream_certificates_refused_total") >= 1


async def test_who_trusts_nobody_sends_nothing(certificates: Path) -> None:
    async with (
        App().running() as app,
        three_hops(app.port, mode="Serve", authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        row.api.put(resources.CONFIG_MAPS, _trust(row, ""))
        row.show_pod()
        assert (await fetch(row.port, host=HOST)).status == 502
        assert app.heads == []


async def test_no_request_is_lost_while_certificates_and_their_authority_are_renewed(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueproxy_ports, "LOOK_EVERY_S", 0.02)
    async with (
        App().running() as app,
        three_hops(app.port, authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        row.show_pod()
        statuses: list[int] = []
        stop = asyncio.Event()

        async def ask() -> None:
            while not stop.is_set():
                statuses.append((await fetch(row.port, host=HOST)).status)

        asking = [asyncio.ensure_future(ask()) for _ in range(4)]
        renewed = Authority("renewed")
        try:
            await _more(statuses)
            row.api.put(resources.CONFIG_MAPS, _trust(row, AUTHORITY.pem + renewed.pem))  # first: trust both
            await _more(statuses)
            write_pod_certificate(certificates, renewed)
            put_system_tls(row.api, renewed)  # then new certificates; the old authority is trusted no more
            before = await count(row, "activator", 'upstream_connects_total{protocol="http1_tls"}')
            async with asyncio.timeout(PATIENCE_S):
                while await count(row, "activator", 'upstream_connects_total{protocol="http1_tls"}') == before:
                    await asyncio.sleep(0.01)
            await _more(statuses)
        finally:
            stop.set()
            await asyncio.gather(*asking)
        assert set(statuses) == {200}


async def test_the_setting_is_taken_live_and_no_request_is_lost(certificates: Path) -> None:
    async with (
        App().running() as app,
        three_hops(app.port, authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        row.show_pod()
        assert (await fetch(row.port, host=HOST)).status == 200
        put_system_tls(row.api, AUTHORITY, "disabled")
        put_pods(
            row.api, REVISION, [("127.0.0.1", True)], port=row.pod_port
        )  # the Service has no port for TLS any more
        async with asyncio.timeout(PATIENCE_S):
            while not await count(row, "activator", 'upstream_connects_total{protocol="http1"}'):
                assert (await fetch(row.port, host=HOST)).status == 200
        assert await count(row, "gateway", 'upstream_connects_total{protocol="http1"}') > 0
        put_system_tls(row.api, AUTHORITY)
        row.show_pod()
        put_autoscaler(row.api, REVISION, "Serve")
        for _ in range(5):
            assert (await fetch(row.port, host=HOST)).status == 200


async def test_requests_in_flight_end_when_the_pod_is_told_to_go(certificates: Path) -> None:
    async with (
        App().running() as app,
        three_hops(app.port, mode="Serve", authority=AUTHORITY, certificates=str(certificates)) as row,
        client() as fetch,
    ):
        row.show_pod()
        app.open.clear()
        slow = asyncio.ensure_future(fetch(row.port, host=HOST))
        while not app.in_flight:
            await asyncio.sleep(0.005)
        row.hops["queueproxy"].stopping.set()
        await asyncio.sleep(0.1)
        app.open.set()
        assert (await asyncio.wait_for(slow, PATIENCE_S)).status == 200


def _trust(row: Row, pem: str) -> dict:
    [found] = [one for one in row.api.all(resources.CONFIG_MAPS) if one["metadata"]["name"] == "ca"]
    return found | {"data": {"ca": pem}}


async def _more(statuses: list[int], count: int = 20) -> None:
    until = len(statuses) + count
    async with asyncio.timeout(PATIENCE_S):
        while len(statuses) < until:
            await asyncio.sleep(0.005)
