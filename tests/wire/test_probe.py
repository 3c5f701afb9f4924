"""The probe client: one GET, one connect, against a scripted far end."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.wire import probe


async def serve(answer: bytes, *, hold_s: float = 0.0) -> tuple[asyncio.Server, int, list[bytes]]:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(hold_s)
            writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], heads


async def test_get_returns_status_and_body():
    server, port, heads = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nqueue")
    assert await probe.get("127.0.0.1", port, "/x", [("K-Network-Probe", "queue")], 1.0) == (200, b"queue")
    assert heads[0].startswith(b"GET /x HTTP/1.1\r\nK-Network-Probe: queue\r\n")
    server.close()


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2", b"", b"nonsense\r\n\r\n"])
async def test_what_is_not_http_is_an_error(answer):
    server, port, _ = await serve(answer)
    with pytest.raises(ValueError):
        await probe.get("127.0.0.1", port, "/", [], 1.0)
    server.close()


async def test_a_far_end_that_does_not_answer_is_a_timeout():
    server, port, _ = await serve(b"", hold_s=0.2)
    with pytest.raises(TimeoutError):
        await probe.get("127.0.0.1", port, "/", [], 0.02)
    server.close()
    await asyncio.sleep(0.2)


async def test_nobody_there_is_an_os_error():
    server, port, _ = await serve(b"")
    await probe.connect("127.0.0.1", port, 1.0)
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError):
        await probe.connect("127.0.0.1", port, 1.0)
    with pytest.raises(OSError):
        await probe.get("127.0.0.1", port, "/", [], 1.0)


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
