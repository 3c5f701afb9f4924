"""Keep-alive connections: last in first out, bounded, closed when idle, ejected or unsolicited."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.wire import OK, PATIENCE_S, Peer, ScriptedUpstream, answering, rig, turns_until
from tidegate.wire.pool import Pool

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def _quiet(peer: Peer) -> None:
    await peer.gone()


async def test_last_in_first_out_and_bounded() -> None:
    upstream = ScriptedUpstream(_quiet)
    await upstream.start()
    pool = Pool(max_idle_per_upstream=2)
    try:
        connections = [await pool.connect("127.0.0.1", upstream.port) for _ in range(3)]
        for connection in connections:
            pool.give(connection, time.monotonic())
        assert pool.idle_count == 2
        assert pool.take("127.0.0.1", upstream.port) is connections[1]
        assert pool.take("127.0.0.1", upstream.port) is connections[0]
        assert pool.take("127.0.0.1", upstream.port) is None
        assert pool.take("127.0.0.1", 1) is None
        await turns_until(lambda: pool.open_count == 2)
    finally:
        await pool.close()
        await upstream.stop()
    await turns_until(lambda: pool.open_count == 0)


async def test_idle_connections_are_closed_by_time() -> None:
    upstream = ScriptedUpstream(_quiet)
    await upstream.start()
    pool = Pool(idle_timeout_s=0.05)
    try:
        pool.give(await pool.connect("127.0.0.1", upstream.port), time.monotonic())
        await turns_until(lambda: pool.open_count == 0)
        assert pool.idle_count == 0
    finally:
        await pool.close()
        await upstream.stop()


async def test_idle_connections_are_closed_by_ejection_and_by_the_peer() -> None:
    upstream = ScriptedUpstream(_quiet)
    await upstream.start()
    pool = Pool()
    try:
        pool.give(await pool.connect("127.0.0.1", upstream.port), time.monotonic())
        pool.close_idle("127.0.0.1", upstream.port)
        await turns_until(lambda: pool.open_count == 0)
        pool.give(await pool.connect("127.0.0.1", upstream.port), time.monotonic())
        await turns_until(lambda: len(upstream.peers) == 2)
        upstream.peers[-1].close()
        await turns_until(lambda: pool.idle_count == 0)
        pool.give(await pool.connect("127.0.0.1", upstream.port), time.monotonic())
        await turns_until(lambda: len(upstream.peers) == 3)
        upstream.peers[-1].send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")  # what some servers say to idle connections
        await turns_until(lambda: pool.idle_count == 0)
    finally:
        await pool.close()
        await upstream.stop()


async def test_a_closed_pool_keeps_nothing() -> None:
    upstream = ScriptedUpstream(_quiet)
    await upstream.start()
    pool = Pool()
    connection = await pool.connect("127.0.0.1", upstream.port)
    await pool.close()
    pool.give(connection, time.monotonic())
    assert pool.idle_count == 0
    await turns_until(lambda: pool.open_count == 0)
    await upstream.stop()


async def test_refused_connections_raise() -> None:
    with pytest.raises(OSError):
        await Pool().connect("127.0.0.1", 1)


async def test_a_burst_opens_connections_and_keeps_them() -> None:
    async with rig(answering(OK)) as engine:
        clients = [await engine.client() for _ in range(20)]
        for _ in range(3):
            for client in clients:
                client.send(GET)
            async with asyncio.timeout(PATIENCE_S):
                for client in clients:
                    assert (await client.answer()).status == 200
        assert engine.pool.connects <= 40
        assert engine.pool.idle_count == engine.pool.open_count
