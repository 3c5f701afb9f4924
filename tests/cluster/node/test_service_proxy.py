"""The userland service proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from cluster.node import service_proxy
from cluster.node.service_proxy import ServiceProxy
from cluster.node.splice import Splicer
from tests.support import loopback, servers
from tests.support.fake_api import FakeApi
from tests.support.hops import free_port
from tidegate.kube import resources
from tidegate.kube.api import Object
from tidegate.process import tasks

NET = f"127.{loopback.octet()}.129"
HOST, FIRST, SECOND, DEAF = (f"{NET}.{number}" for number in (7, 11, 12, 13))


def service(port: int, **spec: object) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "d"},
        "spec": {"clusterIP": HOST, "selector": {"a": "b"}, "ports": [{"name": "http", "port": port}], **spec},
    }


def endpoints(*targets: tuple[str, int], ready: bool = True) -> Object:
    metadata = {"name": "web-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}}
    listed = [{"addresses": [host], "conditions": {"ready": ready}} for host, _ in targets]
    return {"metadata": metadata, "ports": [{"name": "http", "port": targets[0][1]}], "endpoints": listed}


def is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False


@contextlib.asynccontextmanager
async def backends(*hosts: str) -> AsyncIterator[int]:
    """Servers on one port of several addresses; each says its address, then echoes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("sockname")[0].encode() + b"\n")
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for host in hosts:
            port = await stack.enter_async_context(servers.serving(serve, host, port))
        yield port


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    splicer = Splicer()
    task = tasks.spawn(ServiceProxy(fake, splicer).run(), "proxy")
    yield fake
    await tasks.cancel(task)
    await splicer.close()


async def ask(port: int, data: bytes = b"hi") -> bytes:
    """Connect as soon as somebody listens, send, close our side, return all that comes."""
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
        try:
            writer.write(data)
            writer.write_eof()
            return await reader.read()
        except OSError:  # of a reset, before or after the data
            return b"reset"
        finally:
            writer.close()


def answer_of(host: str, data: bytes = b"hi") -> bytes:
    return host.encode() + b"\n" + data


async def test_connections_go_round_the_ready_endpoints(api: FakeApi) -> None:
    port = free_port()
    async with backends(FIRST, SECOND) as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints((FIRST, target), (SECOND, target)))
        answers = [await ask(port) for _ in range(4)]
    assert sorted(answers) == [answer_of(FIRST)] * 2 + [answer_of(SECOND)] * 2


async def test_an_endpoint_that_refuses_is_passed_over(api: FakeApi) -> None:
    port = free_port()
    async with backends(SECOND) as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints((DEAF, target), (SECOND, target)))
        assert {await ask(port) for _ in range(3)} == {answer_of(SECOND)}


async def test_without_endpoints_the_connection_is_closed(api: FakeApi) -> None:
    port = free_port()
    api.put(resources.SERVICES, service(port))
    assert await ask(port) in (b"", b"reset")


async def test_a_deleted_service_is_not_listened_on(api: FakeApi) -> None:
    port = free_port()
    async with backends(SECOND) as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints((SECOND, target)))
        await ask(port)
        await api.delete(resources.SERVICES, "web", "d")
        # By bind, not by connect: asyncio leaks a connection accepted in the moment its server closes (cpython 109564).
        async with asyncio.timeout(30):
            while not is_free(port):
                await asyncio.sleep(0.005)


async def test_a_large_body_passes_whole(api: FakeApi) -> None:
    port = free_port()
    body = os.urandom(1 << 20)
    async with backends(SECOND) as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints((SECOND, target)))
        await ask(port)
        assert await ask(port, body) == answer_of(SECOND, body)


def test_what_is_listened_on() -> None:
    assert service_proxy.service_ports(service(80)) == [("http", (HOST, 80))]
    assert service_proxy.service_ports(service(80, clusterIP="10.0.0.1")) == []
    assert service_proxy.service_ports(service(80, clusterIP="None")) == []
    assert service_proxy.service_ports(service(80, selector=None)) == []
    assert service_proxy.service_ports(service(80, ports=[{"port": 53, "protocol": "UDP"}])) == []


def test_only_ready_targets_count() -> None:
    assert service_proxy.ready_targets([endpoints(("a", 1), ready=False)], "http") == []
    assert service_proxy.ready_targets([endpoints(("a", 1)), endpoints(("b", 1))], "http") == [("a", 1), ("b", 1)]
    assert service_proxy.ready_targets([endpoints(("a", 1))], "other") == []
