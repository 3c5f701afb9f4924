"""The backend and the scripted API server of the measurements say what they should, or every figure would be wrong."""

from __future__ import annotations

import asyncio

import pytest

from bench import scripted_api
from bench.backend import SMALL, Backend
from tests.support.wire import Peer


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", SMALL),
        (b"GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 100_000),
        (b"GET /stream/300000 HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 300_000),
        (b"GET /chunked/3 HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 3000),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"y" * 200_000, SMALL),
    ],
)
async def test_answers(request_bytes: bytes, body: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", 0)
    client = await Peer.connect(server.sockets[0].getsockname()[1])
    for _ in range(2):
        client.send(request_bytes)
        assert (await client.answer()).body == body
    client.close()
    await client.writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_as_many_routes_as_asked_for() -> None:
    listed = scripted_api.objects(3, 80)
    assert {kind: len(objects) for kind, objects in listed.items()} == dict.fromkeys(listed, 3)
    assert listed["routes"][0]["metadata"]["name"] == "hello"
