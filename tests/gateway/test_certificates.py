"""Certificates by name: real handshakes with many certificates, changed while the gateway runs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl
from pathlib import Path

import aiohttp
import pytest

from gateway import certificates as store
from gateway import sni
from gateway.__main__ import serve
from gateway.config import Config
from tests.support.certificates import write
from tests.support.fake_api import FakeApi
from tests.support.hops import client, free_port, running
from tests.support.serving import put_route
from tidegate.contracts import names, programmed
from tidegate.kube import resources


def put_pair(
    api: FakeApi, folder: Path, name: str, hosts: str, subject: str = "", age: int = 0, purpose: str = "external-domain"
) -> None:
    """Store what the controller copies: a key pair that is shown for `hosts`, self-signed for `subject`."""
    files = folder / "tls.crt", folder / "tls.key"
    write(*files, subject or hosts)
    data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in files}
    metadata = {
        "name": name,
        "namespace": names.CERTIFICATES_NAMESPACE,
        "labels": {names.CERTIFICATE_TYPE_LABEL: purpose},
        "annotations": {names.SERVED_HOSTS_ANNOTATION: hosts},
        "creationTimestamp": f"2026-01-01T00:00:{age:02}Z",
    }
    api.put(resources.SECRETS, {"metadata": metadata, "data": data})


async def shown(port: int, host: str) -> str:
    """Return the name in the certificate that is shown for a host, "" when the handshake is refused."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    except (ssl.SSLError, ConnectionError):  # the connection may go before the alert is out
        return ""
    encryption = writer.get_extra_info("ssl_object")
    assert encryption.selected_alpn_protocol() == "h2"
    seen = encryption.getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    names_seen = (b"one.example", b"two.example", b"third.example", b"default.example")
    return next((name.decode() for name in names_seen if name in seen), "?")


async def until(port: int, host: str, expected: str) -> None:
    async with asyncio.timeout(30):
        while await shown(port, host) != expected:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def gateway(api: FakeApi, **settings: str | int):
    ports = [free_port() for _ in range(4)]
    config = Config(
        listen=f"127.0.0.1:{ports[0]}",
        tls_listen=f"127.0.0.1:{ports[1]}",
        admin_port=ports[2],
        metrics_port=ports[3],
        drain_quiet_s=0.0,
        **settings,
    )
    async with running(lambda stopping: serve(config, api, stopping), ports[1]):
        yield ports


async def test_callers_inside_the_cluster_are_shown_certificates_of_its_names_and_reach_what_is_not_public(tmp_path):
    api, port = FakeApi(), free_port()
    put_pair(api, tmp_path, "inside", "hello.default,one.example", "one.example")
    async with gateway(api, local_port=free_port(), local_tls_port=port) as ports:
        await until(port, "hello.default", "one.example")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with client() as fetch:
            put_route(api, "hello", [{"revisionName": "hello-00001", "percent": 100}])
            # No pod, and a probe wakes none; no route.
            for asked, status, agent in ((port, 503, "kube-probe/1.31"), (ports[1], 404, "me")):

                async def answered(asked: int = asked, status: int = status, agent: str = agent) -> bool:
                    url = f"https://127.0.0.1:{asked}/"
                    headers = {"Host": "hello.default", "User-Agent": agent}
                    async with (
                        aiohttp.ClientSession() as session,
                        session.get(url, headers=headers, ssl=context, server_hostname="hello.default") as reply,
                    ):
                        return reply.status == status

                async with asyncio.timeout(30):
                    while not await answered():
                        await asyncio.sleep(0.01)
            page = (await fetch(ports[3], "/metrics")).body
            assert b"tidegate_gateway_tls_request_heads_total 0" not in page


async def test_each_name_is_shown_its_certificate_and_a_name_without_one_is_refused(tmp_path):
    api = FakeApi()
    put_pair(api, tmp_path, "one", "one.example")
    put_pair(api, tmp_path, "two", "two.example,*.two.example", "two.example")
    async with gateway(api) as ports, client() as fetch:
        for host, expected in (
            ("one.example", "one.example"),
            ("ONE.example", "one.example"),
            ("two.example", "two.example"),
            ("a.two.example", "two.example"),
            ("a.b.two.example", ""),
            ("example", ""),
        ):
            assert await shown(ports[1], host) == expected, host
        metrics = (await fetch(ports[2], "/metrics")).body
        assert b"tidegate_gateway_certificates 3.0" in metrics
        assert b"tidegate_gateway_tls_names_refused 2.0" in metrics


async def test_new_changed_and_withdrawn_certificates_are_taken_live(tmp_path):
    api = FakeApi()
    async with gateway(api) as ports:
        assert await shown(ports[1], "one.example") == ""
        put_pair(api, tmp_path, "one", "one.example")
        await until(ports[1], "one.example", "one.example")
        put_pair(api, tmp_path, "one", "one.example", "third.example")
        await until(ports[1], "one.example", "third.example")
        await api.delete(resources.SECRETS, "one", names.CERTIFICATES_NAMESPACE)
        await until(ports[1], "one.example", "")


async def test_a_certificate_that_the_admin_port_calls_shown_is_shown(tmp_path):
    api = FakeApi()
    async with gateway(api) as ports, client() as fetch:
        put_pair(api, tmp_path, "one", "one.example")
        stored = programmed.version_of(api.peek(resources.SECRETS, "one", names.CERTIFICATES_NAMESPACE))
        question = programmed.question(programmed.Versions(certificates=stored), 1.0)
        found = None
        async with asyncio.timeout(30):
            while found is None or found.certificates < stored:
                found = programmed.read_answer((await fetch(ports[2], question)).body)
        assert await shown(ports[1], "one.example") == "one.example"


async def test_a_gateway_without_tls_keeps_nobody_waiting_for_certificates():
    ports = [free_port() for _ in range(3)]
    config = Config(listen=f"127.0.0.1:{ports[0]}", admin_port=ports[1], metrics_port=ports[2], drain_quiet_s=0.0)
    async with running(lambda stopping: serve(config, FakeApi(), stopping), ports[0]), client() as fetch:
        found = programmed.read_answer((await fetch(ports[1], programmed.PATH)).body)
        assert found is not None
        assert found.covers(programmed.Versions(certificates=10**15))


async def test_names_of_the_cluster_are_shown_inside_alone(tmp_path):
    api, inside = FakeApi(), free_port()
    put_pair(api, tmp_path, "one", "one.example")
    put_pair(api, tmp_path, "two", "two.example", purpose=names.CLUSTER_LOCAL_DOMAIN)
    async with gateway(api, local_tls_port=inside) as ports:
        assert [await shown(ports[1], host) for host in ("one.example", "two.example")] == ["one.example", ""]
        assert [await shown(inside, host) for host in ("one.example", "two.example")] == ["one.example", "two.example"]


async def test_a_name_that_both_sides_have_is_shown_each_its_own_certificate(tmp_path):
    api, inside = FakeApi(), free_port()
    put_pair(api, tmp_path, "one", "shop.example", "one.example", age=1, purpose=names.CLUSTER_LOCAL_DOMAIN)
    put_pair(api, tmp_path, "two", "shop.example", "two.example", age=2)
    put_pair(api, tmp_path, "three", "hello.example", "two.example", age=1)
    put_pair(api, tmp_path, "four", "hello.example", "one.example", age=2, purpose=names.CLUSTER_LOCAL_DOMAIN)
    async with gateway(api, local_tls_port=inside) as ports:
        for host in ("shop.example", "hello.example"):
            assert (await shown(ports[1], host), await shown(inside, host)) == ("two.example", "one.example")


async def test_the_certificate_given_by_file_is_for_all_other_names(tmp_path):
    api = FakeApi()
    put_pair(api, tmp_path, "one", "one.example")
    files = tmp_path / "default.crt", tmp_path / "default.key"
    write(*files, "default.example")
    async with gateway(api, tls_cert_file=str(files[0]), tls_key_file=str(files[1])) as ports:
        assert await shown(ports[1], "one.example") == "one.example"
        assert await shown(ports[1], "other.example") == "default.example"


async def test_a_pair_that_does_not_load_is_named_without_its_key(tmp_path, caplog):
    api = FakeApi()
    put_pair(api, tmp_path, "one", "one.example")
    broken = api.peek(resources.SECRETS, "one", names.CERTIFICATES_NAMESPACE)
    broken["data"]["tls.key"] = base64.b64encode(b"a secret text").decode()
    api.put(resources.SECRETS, broken)
    with caplog.at_level(logging.INFO):
        async with gateway(api) as ports:
            assert await shown(ports[1], "one.example") == ""
            assert await shown(ports[1], "one.example") == ""
    told = [record.getMessage() for record in caplog.records if "does not load" in record.getMessage()]
    assert len(told) == 1
    assert "one.example" in told[0]
    assert "a secret text" not in caplog.text


async def test_few_certificates_are_kept_ready_and_all_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CONTEXTS_LIMIT", 1)
    api = FakeApi()
    for host in ("one.example", "two.example"):
        put_pair(api, tmp_path, host.partition(".")[0], host)
    async with gateway(api) as ports:
        for host in ("one.example", "two.example", "one.example"):
            assert await shown(ports[1], host) == host


def test_the_oldest_keeps_a_host(tmp_path):
    api = FakeApi()
    put_pair(api, tmp_path, "a", "one.example", age=2)
    put_pair(api, tmp_path, "b", "one.example", age=1)
    secrets = api.all(resources.SECRETS)
    table, _ = sni.build(secrets)
    assert table["one.example"].version.startswith(secrets[1]["metadata"]["uid"])
    assert "key" not in repr(table["one.example"])


@pytest.mark.parametrize("data", [{}, {"tls.crt": "eA=="}, {"tls.crt": "", "tls.key": "eA=="}])
def test_half_a_pair_is_none(data):
    metadata = {"name": "x", "annotations": {names.SERVED_HOSTS_ANNOTATION: "one.example"}}
    assert sni.build([{"metadata": metadata, "data": data}]) == ({}, {})
