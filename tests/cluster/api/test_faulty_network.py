"""Clients of the API server behind a network that cuts, tears and stalls: nothing is missed, nothing told twice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from cluster.faults import FaultProxy
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.cache import Cache
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.fixture
async def proxy(running) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", urlsplit(running.url).port) as proxy:
        yield proxy


@pytest.fixture
async def far_client(client: Client, proxy: FaultProxy) -> AsyncIterator[Client]:
    there = dataclasses.replace(client.connection, server=f"https://127.0.0.1:{proxy.port}")
    async with Client(there, user_agent="far") as far:
        yield far


@pytest.fixture
async def cache(far_client: Client) -> AsyncIterator[Cache]:
    cache = Cache(far_client, CM, "default")
    running = asyncio.ensure_future(cache.run())
    await cache.wait_synced(30)
    yield cache
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def reached(cache: Cache, names: set[str]) -> None:
    """Return once the cache holds exactly these ConfigMaps."""
    done = asyncio.Event()

    def look(*_: object) -> None:
        if {name for _, name in cache.objects} == names:
            done.set()

    cache.on_change(look)
    look()
    async with asyncio.timeout(30):
        await done.wait()


async def test_a_cache_catches_up_after_its_watch_was_cut(client: Client, proxy: FaultProxy, cache: Cache) -> None:
    told: list[tuple[str, str]] = []
    cache.on_change(lambda kind, old, new: told.append((kind, (new or old or {})["metadata"]["name"])))
    await client.create(CM, config_map("a"))
    await reached(cache, {"a"})
    proxy.refuses = True
    assert proxy.cut() >= 1
    await client.create(CM, config_map("b"))
    await client.delete(CM, "a", "default")
    proxy.heal()
    await reached(cache, {"b"})
    assert sorted(told) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_stalled_network_delays_events_but_loses_none(client: Client, proxy: FaultProxy, cache: Cache) -> None:
    proxy.stall()
    for name in ("a", "b", "c"):
        await client.create(CM, config_map(name))
    assert cache.objects == {}
    proxy.heal()
    await reached(cache, {"a", "b", "c"})


async def test_a_torn_answer_is_an_error_and_the_write_is_there_once(
    client: Client, proxy: FaultProxy, far_client: Client
) -> None:
    await far_client.list(CM, "default")
    proxy.answer_limit_bytes = 8000  # more than the connection has brought so far, less than with this answer
    with pytest.raises(ApiError) as caught:
        await far_client.create(CM, config_map("a", text="x" * 20_000))
    assert caught.value.status == 0
    proxy.heal()
    assert [item["metadata"]["name"] for item in (await client.list(CM, "default")).items] == ["a"]
    with pytest.raises(ApiError) as again:
        await far_client.create(CM, config_map("a"))
    assert again.value.is_already_exists


async def test_a_slow_network_is_only_slow(proxy: FaultProxy, far_client: Client) -> None:
    proxy.delay_s = 0.02
    created = await far_client.create(CM, config_map("a", x="y"))
    assert created["data"] == {"x": "y"}
