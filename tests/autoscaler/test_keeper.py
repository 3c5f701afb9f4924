"""What an autoscaler has learned, kept in ConfigMaps and recalled by the next, on a scripted API server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os

import pytest

from autoscaler import keeper as keeping
from autoscaler.keeper import Keeper
from autoscaler.state import Memory
from tests.support.fake_api import FakeApi
from tests.support.turning import KEY, System, inactive, put_revision
from tests.support.turning import running as system_running
from tidegate.contracts import buckets
from tidegate.kube import resources
from tidegate.kube.api import ApiError
from tidegate.process import tasks

NAMESPACE = "tidegate-system"
COUNT = 8
BUCKET = buckets.bucket_of(*KEY, COUNT)
NAME = f"autoscaler-memory-{BUCKET}"


@contextlib.asynccontextmanager
async def running(api: FakeApi, later_s: float = 0.0):
    """A Loop with a Keeper, as one process; `later_s`: by how much the clock of people is ahead of the first one's."""
    async with system_running(api) as system:
        keeper = Keeper(
            api,
            NAMESPACE,
            system.world,
            system.loop.fleet,
            system.loop.slots,
            COUNT,
            lambda: system.now,
            lambda: 1_800_000_000.0 + later_s + system.now,
        )
        keeper.shares_changed()
        await system.settle()
        try:
            yield system, keeper
        finally:
            keeper.held = frozenset
            keeper.shares_changed()
            await keeper.close()


def kept(api: FakeApi):
    return api.peek(resources.CONFIG_MAPS, NAME, NAMESPACE)


def writes(api: FakeApi) -> int:
    return sum(1 for verb, plural, name in api.calls if (verb, plural, name) == ("patch", "configmaps", NAME))


def slot_of(system: System) -> int:
    return system.loop.slots[KEY]


async def test_an_idle_system_writes_nothing():
    api = FakeApi()
    put_revision(api)
    async with running(api) as (_system, keeper):
        await keeper.keep()
        assert kept(api) is None


async def test_what_was_learned_is_there_after_a_restart():
    api = FakeApi()
    put_revision(api, replicas=1, **{"scale-down-delay": "10m", "target": "1"})
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        await system.seconds(10, concurrency=30.0)
        memory = system.loop.fleet.memory(slot_of(system))
        assert memory.panic_at is not None
        await keeper.keep()
    async with running(api, later_s=30.0) as (system, _keeper):
        again = system.loop.fleet.memory(slot_of(system))
        assert (again.panic_pods, again.delayed[0][1]) == (memory.panic_pods, memory.delayed[0][1])
        assert system.world.starts_s(KEY) == (2.5,)


async def test_a_revision_made_anew_has_no_memory():
    api = FakeApi()
    put_revision(api, replicas=1, target="1")
    async with running(api) as (system, keeper):
        await system.seconds(10, concurrency=30.0)
        await keeper.keep()
    put_revision(api, replicas=1, uid="two", target="1")
    async with running(api, later_s=30.0) as (system, _keeper):
        assert system.loop.fleet.memory(slot_of(system)).panic_at is None


async def test_it_is_written_where_it_says_something_new():
    api = FakeApi()
    put_revision(api)
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        await keeper.keep()
        await keeper.keep()
        assert writes(api) == 1
        system.world.recall_starts(KEY, (3.5,))
        await keeper.keep()
        assert writes(api) == 2


async def test_who_got_the_slot_of_another_meanwhile_is_not_kept_in_its_name(monkeypatch):
    monkeypatch.setattr(keeping, "BREATH", 1)
    api = FakeApi()
    put_revision(api)
    async with running(api) as (system, keeper):
        spec, slot = system.loop.fleet.spec(slot_of(system)), slot_of(system)
        keeping_now = tasks.spawn(keeper.keep(), "keep")
        await asyncio.sleep(0)
        system.loop.roster.drop(KEY)
        system.demand.record(system.now + 1)
        panicking = Memory(began_at=0.0, panic_at=system.now, panic_pods=9)
        assert system.demand.configure(("default", "other-00001"), spec, panicking) == slot
        await keeping_now
        assert kept(api) is None


async def test_another_replicas_bucket_is_left_alone():
    api = FakeApi()
    put_revision(api)
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        keeper.held = lambda: frozenset(range(COUNT)) - {BUCKET}
        keeper.shares_changed()
        await keeper.keep()
        assert kept(api) is None


async def test_what_cannot_be_read_is_as_if_it_were_not_there():
    api = FakeApi()
    put_revision(api)
    for data in ({}, {"snapshot": "%"}, {"snapshot": base64.b64encode(b"nonsense").decode()}):
        api.put(resources.CONFIG_MAPS, {"metadata": {"name": NAME, "namespace": NAMESPACE}, "binaryData": data})
        async with running(api) as (system, keeper):
            system.world.recall_starts(KEY, (2.5,))
            await keeper.keep()
            assert keeper.failures == 0


async def test_a_refused_write_is_counted_and_comes_again():
    api = FakeApi()
    put_revision(api)
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        api.refuse("patch", resources.CONFIG_MAPS, ApiError(500, "InternalError", "no"))
        await keeper.keep()
        assert (keeper.failures, kept(api)) == (1, None)
        await keeper.keep()
        assert kept(api) is not None


async def test_what_has_no_room_is_left_out_and_counted(monkeypatch):
    api = FakeApi()
    put_revision(api)
    monkeypatch.setattr(keeping, "LIMIT_BYTES", 2000)
    async with running(api) as (system, keeper):
        record = keeping.snapshot.Record(*KEY, "uid")
        records = [replace_windows(record, os.urandom(240)) for _ in range(40)]
        await keeper._write(BUCKET, records)
        assert keeper.left_out > 0
        assert len(base64.b64decode(kept(api)["binaryData"]["snapshot"])) <= 2000
        assert system.now


def replace_windows(record, data):
    return keeping.snapshot.msgspec.structs.replace(record, windows={"concurrency": data})


@pytest.mark.looptime
async def test_it_keeps_now_and_then(monkeypatch):
    monkeypatch.setattr(keeping, "KEEP_S", 10.0)
    api = FakeApi()
    put_revision(api)
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        task = asyncio.ensure_future(keeper.run())
        await asyncio.sleep(9)
        assert writes(api) == 0
        await asyncio.sleep(2)
        assert writes(api) == 1
        await tasks.cancel(task)


async def test_start_times_of_those_that_sleep_are_kept_too():
    api = FakeApi()
    put_revision(api, status=inactive())
    async with running(api) as (system, keeper):
        system.world.recall_starts(KEY, (2.5,))
        assert KEY not in system.loop.slots
        await keeper.keep()
    async with running(api, later_s=30.0) as (system, _keeper):
        assert KEY not in system.loop.slots
        assert system.world.starts_s(KEY) == (2.5,)
