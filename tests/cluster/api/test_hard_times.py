"""What components meet in bad hours: history that is gone, many objects, one object that everybody writes, watchers
that stand still, an API server that goes away and comes back. Caches end up equal to the server, no write is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.api import reads, strictness
from cluster.api.__main__ import serving
from cluster.config import ApiConfig
from cluster.faults import FaultProxy
from tests.support.hops import free_port
from tests.support.writers import write_at_random
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.kube.cache import Cache
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS


def config_map(name: str, value: int = 0, **more: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"v": str(value)} | more}


@contextlib.asynccontextmanager
async def cached(client: Client) -> AsyncIterator[Cache]:
    cache = Cache(client, CM, "default")
    running = asyncio.ensure_future(cache.run())
    try:
        await cache.wait_synced(30)
        yield cache
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def equal(cache: Cache, client: Client, timeout_s: float = 30.0) -> None:
    """Return once the cache holds what the server lists."""
    listed = {one["metadata"]["name"]: _essence(one) for one in (await client.list(CM, "default")).items}
    async with asyncio.timeout(timeout_s):
        while {name: _essence(one) for (_, name), one in cache.objects.items()} != listed:
            await asyncio.sleep(0.02)


def _essence(obj: Object) -> tuple[str, Object]:
    return obj["metadata"]["resourceVersion"], obj["data"]


async def test_a_cache_lives_with_watches_that_end_all_the_time(running, client: Client) -> None:
    running.server.backend.strictness = strictness.Strictness(watch_s=0.01, caps_watches=True)
    async with cached(client) as cache:
        for seed in range(5):
            await write_at_random(client, config_map, 20, seed)
            await asyncio.sleep(0.02)
        await equal(cache, client)


async def test_a_cache_lives_with_history_that_is_gone_when_it_comes_back(running, client: Client) -> None:
    store = running.server.backend.store
    async with FaultProxy("127.0.0.1", urlsplit(running.url).port) as proxy:
        there = dataclasses.replace(client.connection, server=f"https://127.0.0.1:{proxy.port}")
        async with Client(there, user_agent="far") as far, cached(far) as cache:
            for seed in range(3):
                proxy.refuses = True
                proxy.cut()
                await write_at_random(client, config_map, 20, seed)
                store.forget(store.revision)
                proxy.heal()
                await equal(cache, client)


async def test_a_thousand_large_objects_are_listed_and_watched(running, client: Client) -> None:
    filler = "x" * 2000
    for start in range(0, 1000, 50):
        await asyncio.gather(
            *(client.create(CM, config_map(f"o{n:04}", n, t=filler)) for n in range(start, start + 50))
        )
    async with cached(client) as cache:
        assert len(cache.objects) == 1000
        await asyncio.gather(
            *(client.patch(CM, f"o{n:04}", {"data": {"v": "new"}}, "default") for n in range(0, 1000, 20))
        )
        await equal(cache, client)


async def test_in_a_storm_of_conflicts_every_increment_counts_once(client: Client) -> None:
    await client.create(CM, config_map("counter"))
    conflicts = 0

    async def increment() -> None:
        nonlocal conflicts
        while True:
            live = await client.get(CM, "counter", "default")
            live["data"]["v"] = str(int(live["data"]["v"]) + 1)
            try:
                await client.replace(CM, live)
                return
            except ApiError as error:
                assert error.is_conflict
                conflicts += 1
                await asyncio.sleep(random.random() * 0.02)

    await asyncio.gather(*(increment() for _ in range(30)))
    assert (await client.get(CM, "counter", "default"))["data"]["v"] == "30"
    assert conflicts > 0, "the storm was none"


def watches_of(running, resource: Resource) -> list[reads.Watch]:
    """Return the watches on this kind that the server has begun."""
    begun = running.server.backend.watches
    return [one for one in begun if one._subscription.collection.plural == resource.plural]


async def test_who_watches_without_reading_stops_nobody_and_is_told_to_start_again(running, client: Client) -> None:
    port = urlsplit(running.url).port
    async with FaultProxy("127.0.0.1", port) as proxy:
        there = dataclasses.replace(client.connection, server=f"https://127.0.0.1:{proxy.port}")
        async with Client(there, user_agent="slow") as slow, cached(slow) as cache, cached(client) as quick:
            async with asyncio.timeout(30):
                while len(watches_of(running, CM)) < 2:
                    await asyncio.sleep(0.005)
            proxy.stall()
            for watch in watches_of(running, CM):
                watch._subscription.limit = 50
            await client.create(CM, config_map("hot", t="x" * 20_000))
            for number in range(300):
                await client.patch(CM, "hot", {"data": {"v": str(number)}}, "default")
            await equal(quick, client)
            assert cache.objects == {}
            proxy.heal()
            await equal(cache, client)


async def test_caches_survive_an_api_server_that_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    # One that no outgoing connection gets from the kernel while no server holds it.
    config = ApiConfig(state=str(folder), controllers=False, port=free_port())
    async with contextlib.AsyncExitStack() as stack:
        server = contextlib.AsyncExitStack()
        await server.enter_async_context(serving(config))
        client = await stack.enter_async_context(Client(connect.load(folder / "kubeconfig"), user_agent="t"))
        cache = await stack.enter_async_context(cached(client))
        await client.create(CM, config_map("before"))
        await equal(cache, client)
        await server.aclose()
        with pytest.raises(ApiError):
            await client.create(CM, config_map("meanwhile"))
        async with serving(config):
            await client.create(CM, config_map("after"))
            await client.delete(CM, "before", "default")
            await equal(cache, client)
            assert json.loads(await client.raw("GET", "/version"))["major"] == "1"
