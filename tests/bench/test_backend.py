"""The backend and the scripted API server of the measurements say what they should, or every figure would be wrong."""

from __future__ import annotations

import asyncio

import pytest

from bench import grpc_backend, scripted_api, websocket_client
from bench.backend import SMALL, Backend
from tests.support.h2_peers import POST, H2Peer
from tests.support.wire import PATIENCE_S, Peer


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


class Counted(Backend):
    """A backend's connection that counts the messages it was sent."""

    messages = 0

    def data_received(self, data: bytes) -> None:
        self.messages += data.count(websocket_client.MESSAGE)
        super().data_received(data)


async def test_websocket_messages_are_echoed() -> None:
    backends: list[Counted] = []

    async def several(_seconds: float) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(backends) < 3 or min(backend.messages for backend in backends) < 3:
                await asyncio.sleep(0.001)

    def made() -> Counted:
        backends.append(Counted())
        return backends[-1]

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    seen = await websocket_client.measure(server.sockets[0].getsockname()[1], 3, 0.1, {"Host": "a"}, several)
    assert seen["requests"] > 3
    assert seen["errors"] == 0
    server.close()


async def test_grpc_calls_are_answered() -> None:
    server = await asyncio.get_running_loop().create_server(grpc_backend.GrpcBackend, "127.0.0.1", 0)
    peer = H2Peer(await Peer.connect(server.sockets[0].getsockname()[1]), is_client=True)
    asked = [peer.ask(POST, grpc_backend.MESSAGE) for _ in range(5)]
    for stream_id in asked:
        headers, body, trailers = await peer.answer(stream_id)
        assert (headers[":status"], body, trailers["grpc-status"]) == ("200", grpc_backend.MESSAGE, "0")
    peer.close()
    server.close()


def test_as_many_routes_as_asked_for() -> None:
    listed = scripted_api.objects(3, 80)
    assert {kind: len(objects) for kind, objects in listed.items()} == dict.fromkeys(listed, 3)
    assert listed["routes"][0]["metadata"]["name"] == "hello"
