"""Commands beside a container: they end when whoever asked for them no longer answers, and are told whole before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cluster.node import exec_session
from cluster.node.kubelet import Kubelet
from tests.cluster.node.conftest import World, pod


@contextlib.asynccontextmanager
async def running(world: World, script: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Run a script beside a container for a client that answers no pings."""
    await world.run(pod("sleep", "60"))
    await world.until(lambda: "running" in (world.container().get("state") or {}))
    kubelet = Kubelet(world.agent, "s3cret")
    base = f"http://127.0.0.1:{await kubelet.start(0)}/exec/default/p/c"
    query = [("command", word) for word in ("sh", "-c", script)]
    headers = {"Authorization": "Bearer s3cret"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(base, params=query, protocols=(exec_session.PROTOCOL,), autoping=False) as client,
        ):
            yield client
    finally:
        await kubelet.stop()


async def said(client: aiohttp.ClientWebSocketResponse) -> bytes:
    """Return the next that the command writes to its standard output."""
    message = await asyncio.wait_for(client.receive(), 30)
    assert message.type is aiohttp.WSMsgType.BINARY, message
    assert message.data[0] == exec_session.STDOUT, message
    return bytes(message.data[1:])


def let_pass(seconds: float) -> None:
    """Put the clock of the loop forward: its timers are due as if this time had passed."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


async def test_a_command_whose_client_answers_no_ping_is_killed(world: World) -> None:
    async with running(world, "echo $$; exec sleep 60") as client:
        process = Path("/proc", (await said(client)).decode().strip())
        let_pass(exec_session.HEARTBEAT_S + 1)
        message = await asyncio.wait_for(client.receive(), 30)
        assert message.type is aiohttp.WSMsgType.PING
        assert process.exists()
        let_pass(exec_session.HEARTBEAT_S / 2 + 1)
        await world.until(lambda: not process.exists())


async def test_a_client_that_reads_slowly_gets_all_that_an_ended_command_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_send, send = asyncio.Event(), exec_session.send

    async def slowly(socket: aiohttp.web.WebSocketResponse, channel: int, content: bytes) -> None:
        await may_send.wait()
        await send(socket, channel, content)

    monkeypatch.setattr(exec_session, "send", slowly)
    monkeypatch.setattr(exec_session, "LEFT_S", 0.01)
    script = f"echo $$ > {world.folder}/pid; echo hello"
    async with running(world, script) as client:
        written = world.folder / "pid"
        await world.until(lambda: written.exists() and written.read_text())
        await world.until(lambda: not Path("/proc", written.read_text().strip()).exists())
        await asyncio.sleep(0.1)
        may_send.set()
        assert await said(client) == b"hello\n"
        message = await asyncio.wait_for(client.receive(), 30)
        assert (message.data[0], b"Success" in message.data) == (exec_session.ERROR, True)
