"""The list-watch cache: what a reader sees after lists, watches, broken connections and lost history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tidegate.kube.api import ApiError, Object, Page, Unreachable, WatchEvent
from tidegate.kube.cache import Cache
from tidegate.kube.resources import PODS
from tidegate.process import tasks


def pod(name: str, version: int, **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "resourceVersion": str(version), "labels": labels}}


class ScriptedServer:
    """The far end: answers each list from `lists`, and plays each watch from `watches` (an exception ends it)."""

    def __init__(self) -> None:
        self.lists: list[Page | Exception] = []
        self.watches: list[list[WatchEvent | Exception]] = []
        self.since: list[str] = []
        self.after: list[str] = []
        self.drained = asyncio.Event()

    async def list(self, resource, namespace="", labels="", fields="", *, limit=0, after="") -> Page:
        self.after.append(after)
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, resource, namespace="", labels="", fields="", since="") -> AsyncIterator[WatchEvent]:
        self.since.append(since)
        if not self.watches:
            self.drained.set()
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


async def play(server: ScriptedServer, cache: Cache) -> None:
    task = tasks.spawn(cache.run(), "cache")
    async with asyncio.timeout(30):
        await server.drained.wait()
    await tasks.cancel(task)


@pytest.mark.looptime
async def test_list_then_watch_keeps_the_snapshot_current():
    server = ScriptedServer()
    server.lists = [Page([pod("a", 1), pod("b", 2)], "2")]
    server.watches = [
        [
            WatchEvent("ADDED", pod("c", 3)),
            WatchEvent("MODIFIED", pod("a", 4)),
            WatchEvent("DELETED", pod("b", 5)),
            WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
        ]
    ]
    cache = Cache(server, PODS)
    seen: list[tuple[str, str]] = []
    cache.on_change(lambda kind, old, new: seen.append((kind, (new or old or {})["metadata"]["name"])))
    await play(server, cache)
    assert {key[1] for key in cache.objects} == {"a", "c"}
    assert cache.get("a", "default")["metadata"]["resourceVersion"] == "4"
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert server.since == ["2", "9"], "a watch that ends is taken up where it ended"


@pytest.mark.looptime
async def test_the_version_is_that_up_to_which_everything_is_here_and_told():
    server = ScriptedServer()
    server.lists = [Page([pod("a", 1)], "5", more="next"), Page([pod("b", 2)], "5")]
    server.watches = [
        [WatchEvent("MODIFIED", pod("a", 7)), WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    ]
    cache = Cache(server, PODS)
    seen: list[tuple[str, str]] = []
    cache.on_change(lambda kind, old, new: seen.append((new["metadata"]["name"], cache.version)))
    assert cache.version == ""
    await play(server, cache)
    assert seen == [("a", ""), ("b", ""), ("a", "5")], "never ahead of what is told"
    assert cache.version == "9"


@pytest.mark.looptime
async def test_lost_history_costs_a_relist_and_callbacks_for_the_differences_only():
    server = ScriptedServer()
    server.lists = [Page([pod("a", 1), pod("b", 2)], "2"), Page([pod("b", 2), pod("c", 7)], "8")]
    server.watches = [[ApiError(410, "Expired", "too old")]]
    cache = Cache(server, PODS)
    seen: list[tuple[str, str]] = []
    cache.on_change(lambda kind, old, new: seen.append((kind, (new or old or {})["metadata"]["name"])))
    await play(server, cache)
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"), ("ADDED", "c")]


@pytest.mark.looptime
async def test_an_unreachable_server_is_asked_again_with_growing_pauses():
    server = ScriptedServer()
    server.lists = [Unreachable("refused"), Unreachable("refused"), Page([pod("a", 1)], "1")]
    cache = Cache(server, PODS)
    begin = asyncio.get_running_loop().time()
    await play(server, cache)
    assert cache.is_synced
    assert asyncio.get_running_loop().time() - begin == pytest.approx(0.05 + 0.10)


@pytest.mark.looptime
async def test_indexes_follow_every_change():
    server = ScriptedServer()
    server.lists = [Page([pod("a", 1, app="x"), pod("b", 2, app="x")], "2")]
    server.watches = [[WatchEvent("MODIFIED", pod("a", 3, app="y")), WatchEvent("DELETED", pod("b", 4, app="x"))]]
    cache = Cache(server, PODS, indexers={"app": lambda obj: [obj["metadata"]["labels"]["app"]]})
    await play(server, cache)
    assert cache.by_index("app", "x") == []
    assert [item["metadata"]["name"] for item in cache.by_index("app", "y")] == ["a"]


@pytest.mark.looptime
async def test_a_failing_callback_does_not_stop_the_cache(caplog):
    server = ScriptedServer()
    server.lists = [Page([pod("a", 1)], "1")]
    cache = Cache(server, PODS)
    cache.on_change(lambda *_: 1 / 0)
    await play(server, cache)
    assert cache.get("a", "default") is not None
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.looptime
async def test_a_list_comes_in_pages_and_what_is_on_none_is_gone():
    server = ScriptedServer()
    gone = ApiError(410, "Expired", "the token is too old")
    server.lists = [
        Page([pod("a", 1), pod("b", 1)], "5", "then"),
        Page([pod("c", 1)], "5"),
        Page([pod("b", 7)], "7", "then"),
        gone,
        Page([pod("b", 7)], "8", "then"),
        Page([pod("d", 8)], "8"),
    ]
    server.watches = [[Unreachable("broke")]]
    cache = Cache(server, PODS)
    changes = []
    cache.on_change(lambda kind, old, new: changes.append((kind, (new or old)["metadata"]["name"])))
    await play(server, cache)
    assert sorted(name for _, name in cache.objects) == ["b", "d"]
    assert changes == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("ADDED", "c"),
        ("MODIFIED", "b"),
        ("DELETED", "a"),
        ("DELETED", "c"),
        ("ADDED", "d"),
    ]
    assert server.after == ["", "then", "", "then", "", "then"]
    assert server.since == ["5", "8"]
