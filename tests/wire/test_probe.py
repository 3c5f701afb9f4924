"""The probe client: one GET, one connect, against a scripted far end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.servers import serving
from tests.support.wire import PATIENCE_S
from tidegate.wire import probe


@contextlib.asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer each request with these bytes, or never; gives the port and the heads that came."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()

    async with serving(talk) as port:
        yield port, heads


async def test_get_returns_status_and_body():
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nqueue") as (port, heads):
        found = await probe.get("127.0.0.1", port, "/x", [("K-Network-Probe", "queue")], PATIENCE_S)
    assert found == (200, b"queue")
    assert heads[0].startswith(b"GET /x HTTP/1.1\r\nK-Network-Probe: queue\r\n")


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2", b"", b"nonsense\r\n\r\n"])
async def test_what_is_not_http_is_an_error(answer):
    async with answering(answer) as (port, _):
        with pytest.raises(ValueError):
            await probe.get("127.0.0.1", port, "/", [], PATIENCE_S)


async def test_a_far_end_that_does_not_answer_is_a_timeout():
    async with answering(None) as (port, _):
        with pytest.raises(TimeoutError):
            await probe.get("127.0.0.1", port, "/", [], 0.02)


async def test_nobody_there_is_an_os_error():
    async with answering(None) as (port, _):
        await probe.connect("127.0.0.1", port, PATIENCE_S)
    with pytest.raises(OSError):
        await probe.connect("127.0.0.1", port, PATIENCE_S)
    with pytest.raises(OSError):
        await probe.get("127.0.0.1", port, "/", [], PATIENCE_S)


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (b"HTTP/1.1 200 OK\r\nA: 1\r\nX-Start:  a b \r\nx-start: c\r\n\r\n", b"a b"),
        (b"HTTP/1.1 200 OK\r\nx-START:\r\n\r\n", b""),
        (b"HTTP/1.1 200 x-start: no\r\nb: x-start: no\r\nx-start\r\n\r\n", b""),
    ],
)
def test_the_first_value_of_a_header(head: bytes, value: bytes) -> None:
    assert probe.value_of(head, b"x-start") == value
