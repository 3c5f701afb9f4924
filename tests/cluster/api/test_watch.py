"""Watches over HTTP while others write: everything once, in order; slow readers are told; forms of the events."""

from __future__ import annotations

import asyncio
import random

import pytest

from cluster.api import housekeeping, reads
from cluster.api.service_addresses import ServiceAddresses
from cluster.store import Collection, Key, Store
from tests.support.writers import write_at_random
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def body(name: str, value: int = 0) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "labels": {"n": name}}, "data": {"v": str(value)}}


async def write_then_mark(client: Client, seed: int) -> None:
    await asyncio.gather(*(write_at_random(client, body, 60, seed * 10 + number) for number in range(3)))
    await client.create(CM, body("the-end"))


@pytest.mark.parametrize("seed", range(3))
async def test_list_then_watch_replays_to_the_list_in_spite_of_breaks(client: Client, seed: int) -> None:
    draw = random.Random(seed)
    page = await client.list(CM, "default")
    state = {item["metadata"]["name"]: item for item in page.items}
    seen = [int(page.resource_version)]
    writing = asyncio.ensure_future(write_then_mark(client, seed))
    while "the-end" not in state:
        events = client.watch(CM, "default", since=str(seen[-1]))
        async for event in events:
            version = int(event.object["metadata"]["resourceVersion"])
            assert version > seen[-1]
            seen.append(version)
            name = event.object["metadata"]["name"]
            assert (name in state) == (event.type != "ADDED")
            if event.type == "DELETED":
                del state[name]
            else:
                state[name] = event.object
            if name == "the-end" or draw.random() < 0.1:
                break  # the connection breaks; go on from the last event seen
        await events.aclose()
    await writing
    assert state == {item["metadata"]["name"]: item for item in (await client.list(CM, "default")).items}


async def test_a_reader_that_falls_behind_is_told_to_list_again(running) -> None:
    backend = running.server.backend
    kind = backend.registry.find("", "v1", "configmaps")
    watch = reads.Watch(backend, kind, reads.Selection(), backend.store.revision)
    watch._subscription.limit = 2
    for name in "abc":
        backend.store.put(Key("", "configmaps", "default", name), body(name))
    with pytest.raises(ApiError) as caught:
        async for _ in watch.batches(1):
            pass
    assert caught.value.is_gone
    watch.close()


async def lines(client: Client, url: str, count: int, accept: str = "application/json", **params: str) -> list[Object]:
    import json

    headers = client._headers() | {"Accept": accept}
    found: list[Object] = []
    async with client._open().get(url, params={"watch": "true"} | params, headers=headers) as answer:
        assert answer.status == 200
        async for line in answer.content:
            found.append(json.loads(line))
            if len(found) == count:
                break
    return found


async def test_tables_carry_their_columns_once(running, client: Client) -> None:
    for name in "ab":
        await client.create(CM, body(name))
    first, second = await lines(client, running.url + CM.path("default"), 2, TABLE)
    assert first["object"]["kind"] == "Table"
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][:2] == ["b", 1]
    assert second["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_streaming_lists_end_with_a_marked_bookmark(running, client: Client) -> None:
    await client.create(CM, body("a"))
    params = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    added, mark = await lines(client, running.url + CM.path("default"), 2, **params)
    assert added["type"] == "ADDED"
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(mark["object"]["metadata"]["resourceVersion"]) == running.server.backend.store.revision


async def test_a_quiet_watch_gets_bookmarks_and_ends_in_time(running, client: Client, monkeypatch) -> None:
    monkeypatch.setattr(reads, "BOOKMARK_EVERY_S", 0.02)
    params = {"allowWatchBookmarks": "true", "timeoutSeconds": "0.1", "resourceVersion": "0"}
    found = await lines(client, running.url + CM.path("default"), 100, **params)
    assert {line["type"] for line in found} == {"BOOKMARK"}


async def test_only_metadata_when_that_is_wanted(running, client: Client) -> None:
    await client.create(CM, body("a"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    headers = client._headers() | {"Accept": accept}
    async with client._open().get(running.url + CM.path("default"), headers=headers) as answer:
        listed = await answer.json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_a_watch_that_its_client_leaves_is_forgotten(running, client: Client) -> None:
    since = (await client.list(CM)).resource_version
    before = len(running.server.backend.watches)
    watching = asyncio.ensure_future(lines(client, running.url + CM.path(), 1, resourceVersion=since))
    async with asyncio.timeout(30):
        while len(running.server.backend.watches) == before:
            await asyncio.sleep(0.005)
        watching.cancel()
        while len(running.server.backend.watches) > before:
            await asyncio.sleep(0.005)


def test_events_are_forgotten_after_an_hour(tmp_path) -> None:
    store = Store(tmp_path / "s.db", lambda _, __: {})
    for name, stamp in (("old", "1970-01-01T00:00:00Z"), ("new", "1970-01-01T00:50:00Z")):
        event = {"metadata": {"name": name, "namespace": "ns"}, "lastTimestamp": stamp}
        store.put(Key("", "events", "ns", name), event)
    assert housekeeping.expire_events(store, 3600.0) == 1
    names = [entry.decode()["metadata"]["name"] for entry in store.entries(Collection("", "events"))]
    assert names == ["new"]
    store.close()


def test_services_move_into_a_changed_network(tmp_path) -> None:
    store = Store(tmp_path / "s.db", lambda _, __: {})
    for name, address in (("a", "127.9.128.1"), ("b", "None"), ("c", "127.5.128.7")):
        service = {"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"clusterIP": address}}
        store.put(Key("", "services", "ns", name), service)
    ServiceAddresses(store, "127.5.128.0/17").move_in()
    found = [entry.decode()["spec"]["clusterIP"] for entry in store.entries(Collection("", "services"))]
    assert found == ["127.5.128.1", "None", "127.5.128.7"]
    store.close()
