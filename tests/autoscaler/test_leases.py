"""Leases at a scripted API server, in virtual time: taken, shared, handed over, taken from the dead."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from autoscaler.leases import Leases, member_name
from tests.support.fake_api import FakeApi
from tidegate.contracts import buckets
from tidegate.kube import resources
from tidegate.kube.api import Unreachable
from tidegate.process import tasks

pytestmark = pytest.mark.looptime

COUNT = 4
NAMESPACE = "tidegate-system"
KEYS = [("default", f"app-{number:05d}") for number in range(40)]


class Replica:
    """Leases with their cache, running."""

    def __init__(self, api: FakeApi, pod: str, address: str) -> None:
        self.me = buckets.identity(pod, address, 8080)
        self.leases = Leases(api, NAMESPACE, self.me, COUNT, asyncio.get_running_loop().time)
        self.changes = 0
        self.leases.on_change = self._changed
        self.running = [tasks.spawn(self.leases.cache.run(), "cache"), tasks.spawn(self.leases.run(), "leases")]

    def _changed(self) -> None:
        self.changes += 1

    @property
    def held(self) -> set[int]:
        return set(self.leases._held)

    async def kill(self) -> None:
        await tasks.cancel(*self.running)


@contextlib.asynccontextmanager
async def replicas(api: FakeApi, *names: str):
    living = [Replica(api, name, f"10.0.0.{number}") for number, name in enumerate(names, 1)]
    try:
        yield living
    finally:
        for one in living:
            await one.kill()


async def test_one_replica_has_everything_at_once():
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(1)
        assert one.held == set(range(COUNT))
        assert all(one.leases.is_ours(key) for key in KEYS)
        assert one.leases.may_decide()
        assert one.leases.owners().addresses == ["10.0.0.1:8080"]
        before = one.changes
        await asyncio.sleep(60)
        assert one.changes == before
        assert one.leases.may_decide()


async def test_two_share_and_agree_on_who_has_what():
    api = FakeApi()
    async with replicas(api, "one", "two") as (one, two):
        await asyncio.sleep(20)
        assert len(one.held) == len(two.held) == COUNT // 2
        assert one.held | two.held == set(range(COUNT))
        assert one.leases.owners() == two.leases.owners()
        for key in KEYS:
            owner = buckets.owner_of(one.leases.owners(), *key)
            assert owner == (("10.0.0.1", 8080) if one.leases.is_ours(key) else ("10.0.0.2", 8080))
            assert one.leases.is_ours(key) != two.leases.is_ours(key)
            assert one.leases.holder_of(key) in (one.me, two.me)


async def test_the_dead_are_replaced_within_ten_seconds():
    api = FakeApi()
    async with replicas(api, "one", "two") as (one, two):
        await asyncio.sleep(20)
        await one.kill()
        await asyncio.sleep(3)
        assert len(two.held) == COUNT // 2
        await asyncio.sleep(7)
        assert two.held == set(range(COUNT))


async def test_who_resigns_is_replaced_at_once():
    api = FakeApi()
    async with replicas(api, "one", "two") as (one, two):
        await asyncio.sleep(20)
        await one.kill()
        await one.leases.resign()
        assert not one.leases.may_decide()
        await asyncio.sleep(1)
        assert two.held == set(range(COUNT))
        assert api.peek(resources.LEASES, member_name(one.me), NAMESPACE) is None


async def test_a_restart_under_the_same_name_goes_on_at_once():
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(5)
        await one.kill()
        again = Replica(api, "one", "10.0.0.1")
        await asyncio.sleep(1)
        assert again.held == set(range(COUNT))
        await again.kill()


async def test_without_the_server_it_stops_deciding_and_keeps_what_it_knows():
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(5)
        before = one.changes
        for verb in ("patch", "create"):
            api.refuse(verb, resources.LEASES, Unreachable("connection refused"), times=1000)
        await asyncio.sleep(6)
        assert not one.leases.may_decide()
        assert one.held == set(range(COUNT))
        assert one.changes == before
        assert one.leases.failures
        api._refusals.clear()
        await asyncio.sleep(3)
        assert one.leases.may_decide()


async def test_a_bucket_that_cannot_be_given_is_kept():
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(5)
        api.refuse("replace", resources.LEASES, Unreachable("connection refused"), times=2)
        two = Replica(api, "two", "10.0.0.2")
        await asyncio.sleep(20)
        assert one.held | two.held == set(range(COUNT))
        assert len(two.held) == COUNT // 2
        await two.kill()
