"""A client of an exec that has gone without a word: noticed by what it does not answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from cluster.api import byte_streams, exec_proxy
from tests.cluster.api.conftest import Running
from tests.cluster.api.test_connect import pod, with_node
from tidegate.kube import resources
from tidegate.kube.client import Client


@pytest.fixture
async def left(client: Client) -> AsyncIterator[asyncio.Event]:
    """Set when the API server has left the node's socket, which ends the command."""
    gone = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        opened = web.WebSocketResponse(protocols=(exec_proxy.NODE_PROTOCOL,))
        await opened.prepare(request)
        async for _ in opened:
            pass
        gone.set()
        return opened

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await with_node(client, runner.addresses[0][1])
    await client.create(resources.PODS, pod())
    yield gone
    await runner.cleanup()


@pytest.mark.parametrize(("protocol", "is_noticed"), [("v5.channel.k8s.io", True), ("v4.channel.k8s.io", False)])
async def test_who_answers_no_ping_has_left(
    running: Running,
    client: Client,
    left: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    is_noticed: bool,
) -> None:
    monkeypatch.setattr(exec_proxy, "CLIENT_HEARTBEAT_S", 0.05)
    url = f"{running.url}{resources.PODS.path('default', 'p', 'exec')}?command=cat&stdin=true&stdout=true"
    async with client._open().ws_connect(
        url, headers=client._headers(), protocols=(protocol,), autoping=False
    ) as opened:
        if is_noticed:
            await asyncio.wait_for(left.wait(), 30)
            return
        # Several beats later it is still there: the next thing that happens is that it leaves of its own accord.
        with pytest.raises(TimeoutError):
            await opened.receive(timeout=0.3)
        assert not left.is_set()
    await asyncio.wait_for(left.wait(), 30)


async def test_the_kernel_asks_the_others() -> None:
    kept: dict[int, int] = {}

    async def handle(request: web.Request) -> web.Response:
        byte_streams.keep_alive(request)
        assert request.transport is not None
        peer = request.transport.get_extra_info("socket")
        kept[socket.SO_KEEPALIVE] = peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        kept.update({name: peer.getsockopt(socket.IPPROTO_TCP, name) for name in byte_streams.KEEP_ALIVE})
        return web.Response()

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()
    assert kept == {socket.SO_KEEPALIVE: 1} | byte_streams.KEEP_ALIVE
