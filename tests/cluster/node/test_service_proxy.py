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
from tests.support import servers
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import Object
from tidegate.process import tasks

HOST = f"127.{180 + os.getpid() % 20}.129.7"


def service(port: int, **spec: object) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "d"},
        "spec": {"clusterIP": HOST, "selector": {"a": "b"}, "ports": [{"name": "http", "port": port}], **spec},
    }


def endpoints(*targets: tuple[str, int], ready: bool = True) -> Object:
    metadata = {"name": "web-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}}
    listed = [{"addresses": [host], "conditions": {"ready": ready}} for host, _ in targets]
    return {"metadata": metadata, "ports": [{"name": "http", "port": targets[0][1]}], "endpoints": listed}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


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
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
        writer.write(data)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):
            answer = await reader.read()
            writer.close()
            return answer
        writer.close()
        return b"reset"


async def test_connections_go_round_the_ready_endpoints(api: FakeApi) -> None:
    port = free_port()
    async with backends("127.0.0.1", "127.0.0.2") as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints(("127.0.0.1", target), ("127.0.0.2", target)))
        answers = [await ask(port) for _ in range(4)]
    assert sorted(answers) == [b"127.0.0.1\nhi"] * 2 + [b"127.0.0.2\nhi"] * 2


async def test_an_endpoint_that_refuses_is_passed_over(api: FakeApi) -> None:
    port = free_port()
    async with backends("127.0.0.2") as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints(("127.0.0.3", target), ("127.0.0.2", target)))
        assert {await ask(port) for _ in range(3)} == {b"127.0.0.2\nhi"}


async def test_without_endpoints_the_connection_is_closed(api: FakeApi) -> None:
    port = free_port()
    api.put(resources.SERVICES, service(port))
    assert await ask(port) in (b"", b"reset")


async def test_a_deleted_service_is_not_listened_on(api: FakeApi) -> None:
    port = free_port()
    async with backends("127.0.0.2") as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints(("127.0.0.2", target)))
        await ask(port)
        await api.delete(resources.SERVICES, "web", "d")
        # By bind, not by connect: asyncio leaks a connection accepted in the moment its server closes (cpython 109564).
        async with asyncio.timeout(10):
            while not is_free(port):
                await asyncio.sleep(0.005)


async def test_a_large_body_passes_whole(api: FakeApi) -> None:
    port = free_port()
    body = os.urandom(1 << 20)
    async with backends("127.0.0.2") as target:
        api.put(resources.SERVICES, service(port))
        api.put(resources.ENDPOINT_SLICES, endpoints(("127.0.0.2", target)))
        await ask(port)
        assert await ask(port, body) == b"127.0.0.2\n" + body


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
