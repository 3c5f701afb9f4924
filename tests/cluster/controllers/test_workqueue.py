"""The work queue and the read-your-writes view."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from cluster.controllers import workqueue
from cluster.controllers.views import View
from cluster.controllers.workqueue import WorkQueue
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.process import tasks


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_is_coalesced_and_never_run_twice_at_once() -> None:
    runs: list[str] = []
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        runs.append(key)
        await gate.wait()

    queue = WorkQueue(reconcile, workers=4)
    task = tasks.spawn(queue.run(), "queue")
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    await settle()
    assert sorted(runs) == ["a", "b"]
    for _ in range(3):
        queue.add("a")
    await settle()
    assert sorted(runs) == ["a", "b"]
    gate.set()
    await settle()
    assert sorted(runs) == ["a", "a", "b"]
    await tasks.cancel(task)


@pytest.mark.looptime
async def test_failures_back_off_alone_and_success_forgets_them() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def reconcile(key: str) -> None:
        if key == "bad":
            times.append(loop.time())
            if len(times) < 5:
                raise ApiError(409, "Conflict", "again")

    queue = WorkQueue(reconcile)
    task = tasks.spawn(queue.run(), "queue")
    queue.add("bad")
    queue.add("good")
    await asyncio.sleep(1)
    gaps = [round(later - earlier, 4) for earlier, later in itertools.pairwise(times)]
    assert gaps == [0.005, 0.01, 0.02, 0.04]
    await tasks.cancel(task)


@pytest.mark.looptime
async def test_looking_again_later() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def reconcile(_key: str) -> float | None:
        times.append(loop.time())
        return 10.0 if len(times) == 1 else None

    queue = WorkQueue(reconcile)
    task = tasks.spawn(queue.run(), "queue")
    queue.add("a")
    await asyncio.sleep(60)
    assert times == [0.0, 10.0]
    await tasks.cancel(task)


@pytest.mark.looptime
async def test_a_reconcile_that_hangs_is_given_up() -> None:
    runs = 0

    async def reconcile(_key: str) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1e6)

    queue = WorkQueue(reconcile)
    task = tasks.spawn(queue.run(), "queue")
    queue.add("a")
    await asyncio.sleep(workqueue.RECONCILE_TIMEOUT_S + 1)
    assert runs == 2
    await tasks.cancel(task)


def pod(name: str = "p", owner: str = "o") -> Object:
    return {"metadata": {"name": name, "namespace": "d", "labels": {"owner": owner}}}


@pytest.fixture
async def far_end() -> AsyncIterator[tuple[FakeApi, View]]:
    api = FakeApi()
    view = View(api, resources.CONFIG_MAPS, indexers={"owner": lambda one: (one["metadata"]["labels"]["owner"],)})
    task = tasks.spawn(view.cache.run(), "cache")
    await view.cache.wait_synced(30)
    yield api, view
    await tasks.cancel(task)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_own_writes_are_seen_before_the_watch_brings_them(far_end: tuple[FakeApi, View]) -> None:
    api, view = far_end
    made = await api.create(resources.CONFIG_MAPS, pod())
    view.note(made)
    assert view.get("p", "d") == made
    assert view.by_index("owner", "o") == [made]
    await until(lambda: view.cache.get("p", "d"))
    assert list(view) == [made]
    changed = await api.patch(resources.CONFIG_MAPS, "p", {"metadata": {"labels": {"owner": "x"}}}, "d")
    view.note(changed)
    assert view.by_index("owner", "o") == []
    assert view.by_index("owner", "x") == [changed]
    view.note(made)
    assert view.get("p", "d") == changed, "an older answer changes nothing"


async def test_own_deletes_are_seen_and_late_answers_revive_nothing(far_end: tuple[FakeApi, View]) -> None:
    api, view = far_end
    made = await api.create(resources.CONFIG_MAPS, pod())
    await until(lambda: view.cache.get("p", "d"))
    view.note_gone(made["metadata"]["uid"])
    assert view.get("p", "d") is None
    assert list(view) == view.by_index("owner", "o") == []
    await api.delete(resources.CONFIG_MAPS, "p", "d")
    await until(lambda: not view.cache.get("p", "d"))
    view.note(made)
    assert list(view) == []
    again = await api.create(resources.CONFIG_MAPS, pod())
    view.note(again)
    assert list(view) == [again]
