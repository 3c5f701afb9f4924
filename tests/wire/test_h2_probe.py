"""The probe client for HTTP/2: a GET and gRPC's health check, also of peers that are not HTTP/2 or silent."""

from __future__ import annotations

import asyncio
import contextlib

import h2.events
import pytest

from tests.support.h2_peers import H2Peer, upstream
from tests.support.servers import serving
from tests.support.wire import OK, PATIENCE_S, Peer, ScriptedUpstream, answering, rig
from tidegate.wire import h2_probe

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


async def test_a_get_returns_status_and_body() -> None:
    async with rig(answering(OK)) as running:
        port = running.server.port
        assert await h2_probe.get("127.0.0.1", port, "/x", [("Host", "a.b"), ("X-Probe", "1")], PATIENCE_S) == (
            200,
            b"ok",
        )
        await running.director.all_finished()
        [request] = running.director.requests
        assert (request.target, request.host, request.header(b"x-probe")) == (b"/x", "a.b", b"1")
        assert request.http_version == "2"


async def test_an_answer_that_is_no_health_does_not_serve() -> None:
    async with rig(answering(OK)) as running:
        assert await h2_probe.is_serving("127.0.0.1", running.server.port, "", "probe", PATIENCE_S) is False


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x00" * 100])
async def test_what_is_not_http2_is_an_error(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(answer)
        writer.write_eof()
        await reader.read()

    async with serving(talk) as port:
        with pytest.raises(ValueError, match="HTTP/2 answer"):
            await h2_probe.get("127.0.0.1", port, "/", [], PATIENCE_S)


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


@contextlib.asynccontextmanager
async def app(handler):
    made = ScriptedUpstream(handler)
    await made.start()
    try:
        yield made.port
    finally:
        await made.stop()


def answers(seen: list[dict[str, str]], status: str = "200"):
    async def script(peer: H2Peer) -> None:
        peer.h2.ping(b"12345678")
        peer.flush()
        event = await peer.event(h2.events.RequestReceived)
        seen.append(dict(event.headers))
        peer.h2.send_headers(event.stream_id, [(":status", status)], end_stream=True)
        peer.flush()
        await peer.gone()

    return upstream(script)


async def test_a_get_as_the_app_sees_it():
    seen: list[dict[str, str]] = []
    async with app(answers(seen, "204")) as port:
        headers = [("Host", "a.example"), ("User-Agent", "kube-probe/1")]
        assert await h2_probe.get("127.0.0.1", port, "/ok?a=b", headers, PATIENCE_S) == (204, b"")
    assert seen == [
        {
            ":method": "GET",
            ":scheme": "http",
            ":path": "/ok?a=b",
            ":authority": "a.example",
            "user-agent": "kube-probe/1",
        }
    ]


def health(status: bytes, seen: list[bytes], trailers: str = "0"):
    async def script(peer: H2Peer) -> None:
        event = await peer.event(h2.events.StreamEnded)
        data = [one.data for one in peer.events if isinstance(one, h2.events.DataReceived)]
        path = next(dict(one.headers)[":path"] for one in peer.events if isinstance(one, h2.events.RequestReceived))
        seen.extend([path.encode(), *data])
        peer.h2.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        peer.h2.send_data(event.stream_id, b"\0\0\0\0%c%b" % (len(status), status))
        peer.h2.send_headers(event.stream_id, [("grpc-status", trailers)], end_stream=True)
        peer.flush()
        await peer.gone()

    return upstream(script)


@pytest.mark.parametrize(
    ("service", "status", "trailers", "is_serving"),
    [("", SERVING, "0", True), ("a.B", SERVING, "0", True), ("", NOT_SERVING, "0", False), ("", SERVING, "5", False)],
)
async def test_grpcs_health_service(service, status, trailers, is_serving):
    seen: list[bytes] = []
    async with app(health(status, seen, trailers)) as port:
        assert await h2_probe.is_serving("127.0.0.1", port, service, "probe", PATIENCE_S) is is_serving
    message = b"\x0a\x03a.B" if service else b""
    assert seen == [b"/grpc.health.v1.Health/Check", b"\0\0\0\0%c%b" % (len(message), message)]


async def test_grpcs_own_server_speaks_http2():
    pytest.importorskip("grpc")
    from tests.support.grpc_apps import GrpcApp

    async with GrpcApp().running() as running:
        assert await h2_probe.speaks("127.0.0.1", running.port, PATIENCE_S)
        # It has no health service: UNIMPLEMENTED is not SERVING.
        assert not await h2_probe.is_serving("127.0.0.1", running.port, "", "probe", PATIENCE_S)


async def saying_nothing(peer: Peer) -> None:
    await peer.rest()


async def garbage(peer: Peer) -> None:
    peer.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
    await peer.rest()


async def closing(peer: Peer) -> None:
    await peer.exactly(1)


@pytest.mark.parametrize("handler", [saying_nothing, garbage, closing, answering(OK)])
async def test_who_does_not_speak_http2(handler):
    async with app(handler) as port:
        assert not await h2_probe.speaks("127.0.0.1", port, 0.05)
        with pytest.raises((ValueError, TimeoutError, ConnectionError)):
            await h2_probe.get("127.0.0.1", port, "/", [], 0.05)


async def test_nobody_is_there():
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await h2_probe.speaks("127.0.0.1", port, PATIENCE_S)
