"""Clients and servers that others wrote, through the engine."""

from __future__ import annotations

import asyncio
import http.client
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import aiohttp.web
import pytest
import websockets

from tests.support.wire import PATIENCE_S, RecordingDirector
from tidegate.wire.director import Relay, Timeouts
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server

SOME = 300_000


@asynccontextmanager
async def engine_before(port: int) -> AsyncIterator[Server]:
    relay = Relay("127.0.0.1", port, timeouts=Timeouts(total_s=2 * PATIENCE_S))
    director = RecordingDirector(lambda request: relay)
    director.on_retry = lambda request, failed, failure: failed
    pool = Pool()
    server = Server(director, pool)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.drain(PATIENCE_S)
        await pool.close()
        director.check()


@asynccontextmanager
async def aiohttp_app() -> AsyncIterator[int]:
    async def echo(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse(headers={"X-Method": request.method})
        if request.query.get("length"):
            response.content_length = int(request.headers["Content-Length"])
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response

    app = aiohttp.web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", echo)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_aiohttp_both_sides() -> None:
    async with aiohttp_app() as port, engine_before(port) as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/echo"

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b"x" * (SOME // 10)

        for _ in range(3):
            async with session.post(url + "?length=1", data=b"x" * SOME) as answer:
                assert await answer.read() == b"x" * SOME
            async with session.post(url, data=pieces()) as answer:
                assert await answer.read() == b"x" * SOME
            async with session.post(url, data=b"x" * 10, expect100=True) as answer:
                assert await answer.read() == b"x" * 10
            async with session.head(url) as answer:
                assert answer.headers["X-Method"] == "HEAD"


async def test_the_standard_library() -> None:
    def talk(port: int) -> list[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        bodies = []
        for _ in range(3):
            connection.request("POST", "/", body=b"hello")
            bodies.append(connection.getresponse().read())
        connection.close()
        return bodies

    async with aiohttp_app() as port, engine_before(port) as server:
        assert await asyncio.to_thread(talk, server.port) == [b"hello"] * 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("flags", [["--http1.1"], ["--http1.0"], ["-H", "Transfer-Encoding: chunked"], ["--http2"]])
async def test_curl(flags: list[str]) -> None:
    async with aiohttp_app() as port, engine_before(port) as server:
        command = [
            "curl",
            "-sS",
            "--max-time",
            str(PATIENCE_S),
            *flags,
            "--data-binary",
            "@-",
            f"http://127.0.0.1:{server.port}/x",
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        body = b"y" * SOME
        output, _ = await process.communicate(body)
        assert process.returncode == 0
        assert output == body


async def test_websockets() -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as upstream:
        port = upstream.sockets[0].getsockname()[1]
        async with (
            engine_before(port) as server,
            websockets.connect(f"ws://127.0.0.1:{server.port}/chat", proxy=None, max_size=None) as client,
        ):
            for message in ("hello", b"\x00" * SOME, "bye"):
                await client.send(message)
                assert await client.recv() == message
            await (await client.ping())
