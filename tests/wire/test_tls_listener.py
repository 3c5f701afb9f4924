"""Clients that never end a handshake: they count among the connections, they have time, and nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.authority import Authority
from tests.support.wire import PATIENCE_S, rig, turns_until
from tidegate.wire.limits import Limits, ServerTimers
from tidegate.wire.server import Server
from tidegate.wire.server_identity import ServerIdentity

AUTHORITY = Authority()
IDENTITY = ServerIdentity(*AUTHORITY.issue("first"))
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def listening(limits: Limits, head_timeout_s: float = 15.0) -> AsyncIterator[Server]:
    async with rig() as engine:
        server = Server(engine.director, engine.pool, limits, ServerTimers(head_timeout_s=head_timeout_s))
        await server.start("127.0.0.1", 0, tls=IDENTITY.context)
        try:
            yield server
        finally:
            await server.close()


async def knock(server: Server, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(said)
    return reader, writer


async def is_answered(server: Server) -> bool:
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="first")
    except (OSError, ssl.SSLError):
        return False
    writer.write(GET)
    answer = await reader.readline()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return b" 200 " in answer


@pytest.mark.parametrize("limits", [Limits(connections=3), Limits(connections_per_peer=3)], ids=["all", "one peer"])
async def test_who_has_not_shaken_hands_has_a_place_and_gives_it_back(limits: Limits) -> None:
    async with listening(limits) as server:
        silent = [await knock(server) for _ in range(3)]
        await turns_until(lambda: server.crowd.open == 3)
        assert not await is_answered(server)
        reader, writer = await knock(server)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        assert server.counters.connections_refused == server.crowd.refused == 2
        silent.pop()[1].close()
        await turns_until(lambda: server.crowd.open == 2)
        assert await is_answered(server)
        await turns_until(lambda: server.crowd.open == 2)
        for _, writer in silent:
            writer.close()
        await turns_until(lambda: server.crowd.open == 0)
        assert server.counters.connections == 1


async def test_a_handshake_has_as_long_as_a_head() -> None:
    async with listening(Limits(), head_timeout_s=0.05) as server:
        reader, writer = await knock(server, b"\x16\x03\x01")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        await turns_until(lambda: server.crowd.open == 0)


async def test_garbage_is_cut_off_and_nothing_stays(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(Limits()) as server:
        for said in (GET, b"\x16\x03\x01\x00\x05hello", b"\x80" * 5000):
            reader, writer = await knock(server, said)
            with contextlib.suppress(ConnectionResetError):
                assert b"200" not in await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
        await turns_until(lambda: server.crowd.open == 0)
        assert await is_answered(server)
    assert not caplog.records


@pytest.mark.parametrize("has_begun", [True, False])
async def test_closing_ends_handshakes(has_begun: bool) -> None:
    async with listening(Limits()) as server:
        reader, writer = await knock(server)
        if has_begun:
            await turns_until(lambda: server.crowd.open == 1)
        await server.close()
        assert server.crowd.open == 0
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_draining_waits_for_nobody_who_only_knocks() -> None:
    async with listening(Limits()) as server:
        _, writer = await knock(server)
        await turns_until(lambda: server.crowd.open == 1)
        server.timers = ServerTimers(linger_s=0.05)
        await server.drain(PATIENCE_S)
        assert server.crowd.open == 0
        writer.close()


async def test_an_address_that_is_taken_is_an_error_and_leaves_no_socket() -> None:
    async with listening(Limits()) as server, rig() as engine:
        other = Server(engine.director, engine.pool)
        with pytest.raises(OSError, match="in use"):
            await other.start("127.0.0.1", server.port, tls=IDENTITY.context)
