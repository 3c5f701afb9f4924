"""Commands beside a container: they end when whoever asked for them no longer answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from cluster.node import exec_session
from cluster.node.kubelet import Kubelet
from tests.cluster.node.conftest import World, pod


async def test_a_command_whose_client_answers_no_ping_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_session, "HEARTBEAT_S", 0.1)
    await world.run(pod("sleep", "60"))
    await world.until(lambda: "running" in (world.container().get("state") or {}))
    kubelet = Kubelet(world.agent, "s3cret")
    command = "command=sh&command=-c&command=echo+$$;exec+sleep+60"
    url = f"http://127.0.0.1:{await kubelet.start(0)}/exec/default/p/c?{command}"
    try:
        async with (
            aiohttp.ClientSession(headers={"Authorization": "Bearer s3cret"}) as session,
            session.ws_connect(url, protocols=(exec_session.PROTOCOL,), autoping=False) as client,
        ):
            while True:
                message = await asyncio.wait_for(client.receive(), 10)
                if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == bytes([exec_session.STDOUT]):
                    break
            process = Path("/proc", message.data[1:].decode().strip())
            # A zombie is over too: its parent is this process's business.
            await world.until(lambda: not process.exists() or "Z (" in (process / "status").read_text())
    finally:
        await kubelet.stop()
