"""The probe client for HTTP/2: a GET and gRPC's health check, also of peers that are not HTTP/2 or silent."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.servers import serving
from tests.support.wire import OK, answering, rig
from tidegate.wire import h2_probe


async def test_a_get_returns_status_and_body() -> None:
    async with rig(answering(OK)) as running:
        port = running.server.port
        assert await h2_probe.get("127.0.0.1", port, "/x", [("Host", "a.b"), ("X-Probe", "1")], 2.0) == (200, b"ok")
        await running.director.all_finished()
        [request] = running.director.requests
        assert (request.target, request.host, request.header(b"x-probe")) == (b"/x", "a.b", b"1")
        assert request.http_version == "2"


async def test_an_answer_that_is_no_health_does_not_serve() -> None:
    async with rig(answering(OK)) as running:
        assert await h2_probe.is_serving("127.0.0.1", running.server.port, "", "probe", 2.0) is False


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x00" * 100])
async def test_what_is_not_http2_is_an_error(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(answer)
        writer.write_eof()
        await reader.read()

    async with serving(talk) as port:
        with pytest.raises(ValueError, match="HTTP/2 answer"):
            await h2_probe.get("127.0.0.1", port, "/", [], 2.0)


async def test_a_far_end_that_does_not_answer_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        with pytest.raises(TimeoutError):
            await h2_probe.get("127.0.0.1", port, "/", [], 0.05)


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, b"\0"), (3, b"\3"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2")]
)
def test_varints(number: int, encoded: bytes) -> None:
    assert h2_probe._varint(number) == encoded
