"""Clients that others wrote, through all hops of a live instance: gateway → activator → queueproxy → app, and warm.

Each client is pointed at an app twice: at a revision whose pods the gateway picks itself, and at one that always has
the activator in its path. What the client saw is asserted, and so is the way: by the counters of the hops.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import aiohttp
import grpc.aio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from loadtest.instance import Instance, eventually, example
from tidegate.contracts import names
from tidegate.kube import connect as kube_connect
from tidegate.kube import resources
from tidegate.kube.client import Client

WAYS = {"pod": ("0", "Serve"), "activator": ("-1", "Proxy")}
"""Target burst capacity, and the serving mode that follows from it."""
APPS = ("echo", "grpc", "websocket")
READY_TIMEOUT_S = 120.0


@dataclass
class Target:
    """Where a client is pointed."""

    instance: Instance
    name: str
    way: str

    @property
    def host(self) -> str:
        return f"{self.name}.default.localhost"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.instance.port}"

    async def command(self, *command: str) -> str:
        return await self.instance.command(*command, timeout_s=100)


@dataclass(frozen=True)
class Seen:
    """Requests that each hop counted so far."""

    to_pod: float
    to_activator: float
    activator: float
    queueproxy: float

    def since(self, before: Seen) -> Seen:
        return Seen(*(getattr(self, name) - getattr(before, name) for name in Seen.__dataclass_fields__))


@pytest.fixture(scope="session")
def apps(running_instance: Instance) -> Iterator[Instance]:
    """Every app once for each way, warm."""

    async def start() -> None:
        async with Client(kube_connect.load(running_instance.kubeconfig), user_agent="e2e") as client:
            running_instance.client = client
            await asyncio.gather(*(_start(running_instance, app, way) for app in APPS for way in WAYS))

    asyncio.run(start())
    yield running_instance


async def _start(instance: Instance, app: str, way: str) -> None:
    burst, mode = WAYS[way]
    annotations = {"target-burst-capacity": burst, "min-scale": "1"}
    name = f"{app}-by-{way}"
    document = example(
        app, service=name, annotations={f"autoscaling.knative.dev/{key}": value for key, value in annotations.items()}
    )
    await instance.apply(document)
    await instance.wait_service_ready(name, READY_TIMEOUT_S)
    revision = await instance.revision_of(name)

    async def has_mode() -> bool:
        found = await instance.client.get(resources.POD_AUTOSCALERS, revision, "default")
        return (found.get("status") or {}).get("servingMode") == mode

    await eventually(has_mode, READY_TIMEOUT_S, f"{name} is in mode {mode}")


# --- clients: each returns how many requests it made ---


async def curl(target: Target, *flags: str) -> int:
    _need("curl")
    common = ("curl", "-sS", "--max-time", "60", "-H", f"Host: {target.host}", "-D", "-", *flags)
    posted = await target.command(*common, "--data-binary", "hello", f"{target.url}/")
    assert re.match(r"HTTP/\S+ 200", posted), posted
    assert posted.endswith("\n\nhello"), posted
    empty = await target.command(*common, "-I", f"{target.url}/bytes?count=5")
    assert "content-length: 5\n" in empty.lower(), empty
    large = await target.command(
        *common, f"{target.url}/bytes?count=3000000", "-o", os.devnull, "-w", "%{size_download}"
    )
    assert large.endswith("3000000"), large[-200:]
    return 3


async def curl_trailers(target: Target, *flags: str) -> int:
    _need("curl")
    common = ("curl", "-sS", "--max-time", "60", "-H", f"Host: {target.host}", "-D", "-", *flags)
    streamed = await target.command(*common, "--data-binary", "hello", f"{target.url}/duplex")
    assert "hello" in streamed, streamed
    assert "echo-bytes: 5\n" in streamed.lower(), streamed
    return 1


async def hey(target: Target) -> int:
    _need("hey")
    text = await target.command("hey", "-n", "300", "-c", "10", "-host", target.host, f"{target.url}/")
    assert "[200]\t300 responses" in text, text
    assert "Error distribution" not in text, text
    return 300


async def wrk(target: Target) -> int:
    _need("wrk")
    text = await target.command(
        "wrk", "-t1", "-c10", "-d1s", "--timeout", "60s", "-H", f"Host: {target.host}", f"{target.url}/bytes?count=9"
    )
    assert "Non-2xx" not in text, text
    assert "Socket errors" not in text, text
    found = re.search(r"(\d+) requests in", text)
    assert found is not None, text
    return int(found[1])


async def h2load(target: Target, path: str = "/bytes?count=9") -> int:
    _need("h2load")
    where = f"127.0.0.1:{target.instance.port}"
    command = ("h2load", "-n", "300", "-c", "3", "-m", "10", f"--connect-to={where}")
    text = await target.command(*command, f"http://{target.host}:{target.instance.port}{path}")
    assert "300 succeeded, 0 failed, 0 errored, 0 timeout" in text, text
    assert "status codes: 300 2xx" in text, text
    assert "Application protocol: h2c" in text, text
    return 300


async def with_httpx(target: Target, *, http2: bool) -> int:
    headers = {"Host": target.host}
    async with httpx.AsyncClient(http1=not http2, http2=http2, headers=headers, timeout=60, trust_env=False) as client:
        posted = await client.post(target.url, content=b"x" * 300_000)
        assert (posted.status_code, posted.content) == (200, b"x" * 300_000)
        assert posted.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        async with client.stream("GET", f"{target.url}/events?count=3&ms=20") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            lines = [line async for line in answer.aiter_lines() if line]
        assert lines == ["data: 0", "data: 1", "data: 2"]
        answers = await asyncio.gather(*(client.get(f"{target.url}/wait?ms=50") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        seen = (await client.get(f"{target.url}/headers")).text
        assert f"host: {target.host}\n" in seen
        assert not re.search(r"^(k-|knative-serving-|x-tidegate-)", seen, re.MULTILINE)
    return 23


async def with_aiohttp(target: Target) -> int:
    """Full duplex: each piece comes back before the next one is sent."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while piece := await pieces.get():
            yield piece

    headers = {"Host": target.host}
    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        pieces.put_nowait(b"piece 0")  # this client sends its head with the first piece
        async with session.post(f"{target.url}/duplex", data=body()) as answer:
            assert answer.status == 200
            assert await answer.content.readany() == b"piece 0"
            for number in range(1, 20):
                pieces.put_nowait(b"piece %d" % number)
                assert await answer.content.readany() == b"piece %d" % number
            pieces.put_nowait(b"")
            assert await answer.content.read() == b""
        async with session.post(target.url, data=b"y" * 100, expect100=True) as answer:
            assert await answer.read() == b"y" * 100
    return 2


async def with_websockets(target: Target) -> int:
    url = f"ws://{target.host}:{target.instance.port}/"
    async with connect(url, host="127.0.0.1", open_timeout=60, max_size=None, proxy=None) as peer:
        for message in ("hello", b"\x00\x01", "long " * 20_000):
            await peer.send(message)
            assert await asyncio.wait_for(peer.recv(), 60) == message
        await asyncio.wait_for(await peer.ping(), 60)
    return 1


async def with_grpcio(target: Target) -> int:
    options = [
        ("grpc.default_authority", target.host),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
    ]
    async with grpc.aio.insecure_channel(target.url.removeprefix("http://"), options=options) as calls:
        unary = calls.unary_unary("/example.Echo/Unary")
        call = unary(b"hello")
        assert await call == b"hello"
        assert ("example-bytes", "5") in [tuple(pair) for pair in await call.trailing_metadata()]
        large = bytes(8 << 20)
        assert await unary(large) == large
        numbers = [int(number) async for number in calls.unary_stream("/example.Echo/Count")(b"500")]
        assert numbers == list(range(500))

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield bytes(10_000)

        assert await calls.stream_unary("/example.Echo/Sum")(pieces()) == b"500000"
        talk = calls.stream_stream("/example.Echo/Talk")()
        for number in range(20):
            await talk.write(b"%d" % number)
            assert await talk.read() == b"%d" % number
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await unary(b"fail")
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        answers = await asyncio.gather(*(unary(b"%d" % number) for number in range(100)))
        assert answers == [b"%d" % number for number in range(100)]
    return 106


CLIENTS: dict[str, tuple[str, Callable[[Target], Awaitable[int]]]] = {
    "curl HTTP/1.0": ("echo", lambda target: curl(target, "--http1.0")),
    "curl HTTP/1.1": ("echo", lambda target: curl(target, "--http1.1")),
    "curl h2c": ("echo", lambda target: curl(target, "--http2-prior-knowledge")),
    "curl HTTP/1.1 trailers": ("echo", lambda target: curl_trailers(target, "--http1.1")),
    "curl h2c trailers": ("echo", lambda target: curl_trailers(target, "--http2-prior-knowledge")),
    "hey": ("echo", hey),
    "wrk": ("echo", wrk),
    "h2load": ("echo", h2load),
    "httpx HTTP/1.1": ("echo", lambda target: with_httpx(target, http2=False)),
    "httpx h2c": ("echo", lambda target: with_httpx(target, http2=True)),
    "aiohttp": ("echo", with_aiohttp),
    "websockets": ("websocket", with_websockets),
    "grpcio": ("grpc", with_grpcio),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_real_client_passes_all_hops(apps: Instance, instance: Instance, client: str, way: str) -> None:
    app, talk = CLIENTS[client]
    target = Target(instance, f"{app}-by-{way}", way)
    before = await _at_rest(target)
    requests = await talk(target)

    async def is_counted() -> bool:
        seen = (await _seen(target)).since(before)
        if way == "pod":
            assert seen.activator == seen.to_activator == 0
            return min(seen.to_pod, seen.queueproxy) >= requests
        assert seen.to_pod == 0
        return min(seen.to_activator, seen.activator, seen.queueproxy) >= requests

    await eventually(is_counted, 60, f"all hops counted {requests} requests by way of {way}")


async def _at_rest(target: Target) -> Seen:
    """Return what was counted once that stands still: the last client may have left requests on their way."""
    seen = await _seen(target)

    async def stands_still() -> bool:
        nonlocal seen
        before, seen = seen, await _seen(target)
        return seen == before

    await eventually(stands_still, 60, "no hop counts requests any more", poll_s=0.2)
    return seen


async def _seen(target: Target) -> Seen:
    system = names.SYSTEM_NAMESPACE
    gateway = await _page(target.instance, system, "app.kubernetes.io/component=gateway")
    activator = await _page(target.instance, system, "app.kubernetes.io/component=activator")
    revision = await target.instance.revision_of(target.name)
    pod = await _page(target.instance, "default", f"{names.REVISION_LABEL}={revision}")
    return Seen(
        _total(gateway, "tidegate_gateway_picks_total", way="pod"),
        _total(gateway, "tidegate_gateway_picks_total", way="activator"),
        _total(activator, "tidegate_activator_requests_total"),
        _total(pod, "tidegate_queueproxy_requests_total"),
    )


async def _page(instance: Instance, namespace: str, label: str) -> str:
    """Return the metrics of the one pod with this label."""
    [pod] = [
        pod
        for pod in (await instance.client.list(resources.PODS, namespace, label)).items
        if not pod["metadata"].get("deletionTimestamp")
    ]
    root = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:{names.ADMIN_PORT}/proxy"
    return (await instance.client.raw("GET", f"{root}/metrics")).decode()


def _total(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
