"""Asking an admin port: pages as they are, and nothing for what is no answer in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.hops import free_port
from tidegate.process import admin_client
from tidegate.process.admin import AdminServer, Page, json_page

PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """Serve one connection: send `answer` and close, or nothing until the client closes; gives the port."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(2 * PATIENCE_S):
        yield server.sockets[0].getsockname()[1]
        await over.wait()


async def test_pages_and_their_status():
    admin = AdminServer()
    admin.page("/echo", lambda path, query: json_page({"path": path, "query": query}))
    port = await admin.start("127.0.0.1", 0)
    found = await admin_client.get("127.0.0.1", port, "/echo/a?b=1", PATIENCE_S)
    assert found == Page(200, b'{"path":"a","query":{"b":"1"}}\n')
    missing = await admin_client.get("127.0.0.1", port, "/nothing", PATIENCE_S)
    assert missing is not None and missing.status == 404
    await admin.close()


async def test_nobody_there_is_no_answer():
    assert await admin_client.get("127.0.0.1", free_port(), "/", PATIENCE_S) is None


@pytest.mark.parametrize("answer", [b"", b"ok", b"HTTP/1.1", b"HTTP/1.1 what OK\r\n\r\n"])
async def test_what_is_no_answer(answer):
    async with answering(answer) as port:
        assert await admin_client.get("127.0.0.1", port, "/", PATIENCE_S) is None


async def test_an_answer_that_does_not_come_is_given_up():
    async with answering(None) as port:
        assert await admin_client.get("127.0.0.1", port, "/", 0.05) is None


async def test_an_answer_that_is_too_long_is_given_up():
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100) as port:
        assert await admin_client.get("127.0.0.1", port, "/", PATIENCE_S, limit_bytes=100) is None
