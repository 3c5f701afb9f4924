"""Clients that are attached to a container: output as it comes, input where there is one, and who is too slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from cluster.node import exec_session, logs
from cluster.node.kubelet import Kubelet
from cluster.node.logs import Tap
from tests.cluster.node.conftest import World, pod

HEADERS = {"Authorization": "Bearer s3cret"}


@pytest.fixture
async def url(world: World) -> AsyncIterator[str]:
    kubelet = Kubelet(world.agent, "s3cret")
    yield f"http://127.0.0.1:{await kubelet.start(0)}/attach/default/p/c?stdin=true&stdout=true&stderr=true"
    await kubelet.stop()


async def receive(client: aiohttp.ClientWebSocketResponse) -> tuple[int, bytes]:
    message = await client.receive(timeout=30)
    assert message.type is aiohttp.WSMsgType.BINARY, message
    return message.data[0], message.data[1:]


async def test_input_goes_in_output_comes_out_and_the_end_is_told(world: World, url: str) -> None:
    script = "while read line; do echo got $line; done; exit 3"
    await world.run(pod("sh", "-c", script, container={"stdin": True, "stdinOnce": True}, restartPolicy="Never"))
    await world.until(lambda: "running" in (world.container().get("state") or {}))
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.ws_connect(url, protocols=(exec_session.PROTOCOL,)) as client,
    ):
        await client.send_bytes(bytes([exec_session.STDIN]) + b"a word\n")
        assert await receive(client) == (exec_session.STDOUT, b"got a word\n")
        await client.send_bytes(bytes([exec_session.CLOSE, exec_session.STDIN]))
        channel, text = await receive(client)
        assert (channel, b"Success" in text) == (exec_session.ERROR, True)
    await world.until(lambda: "terminated" in (world.container().get("state") or {}))
    assert world.container()["state"]["terminated"]["exitCode"] == 3
    assert world.output() == ["got a word"], "it is in the log as well"


async def test_input_outlives_its_client_where_it_may(world: World, url: str) -> None:
    await world.run(pod("sh", "-c", "while read line; do echo got $line; done", container={"stdin": True}))
    await world.until(lambda: "running" in (world.container().get("state") or {}))
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for word in (b"one", b"two"):
            async with session.ws_connect(url, protocols=(exec_session.PROTOCOL,)) as client:
                await client.send_bytes(bytes([exec_session.STDIN]) + word + b"\n")
                assert await receive(client) == (exec_session.STDOUT, b"got " + word + b"\n")
                await client.send_bytes(bytes([exec_session.CLOSE, exec_session.STDIN]))


async def test_a_container_that_does_not_run_is_refused(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for headers, status in ((HEADERS, 400), ({}, 401)):
            async with session.get(url, headers=headers) as answer:
                assert answer.status == status


async def test_credentials_that_are_no_text_are_none(url: str) -> None:
    where = URL(url)
    reader, writer = await asyncio.open_connection(where.host, where.port)
    writer.write(b"GET /stats/summary HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer \xff\r\n\r\n")
    async with asyncio.timeout(30):
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    await writer.wait_closed()


async def test_who_reads_too_slowly_loses_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "TAP_LIMIT_BYTES", 5)
    tap = Tap()
    for data in (b"abc", b"de", b"f", b"g"):
        tap.offer("stdout", data)
    async with asyncio.timeout(5):
        assert [piece async for piece in tap.pieces()] == [("stdout", b"abc"), ("stdout", b"de")]
