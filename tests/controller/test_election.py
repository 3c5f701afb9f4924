"""One of several replicas works; its end, orderly or not, lets another begin. A scripted API server, virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controller.candidate import EXPIRE_S, GIVE_UP_S, RETRY_S
from controller.election import Election
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable
from tidegate.process import tasks

pytestmark = pytest.mark.looptime

NAMESPACE = "tidegate-system"


class Replica:
    """A candidate whose work only counts that it runs."""

    def __init__(self, api: FakeApi, me: str) -> None:
        self.is_working = False
        self.election = Election(api, NAMESPACE, "controller", me, asyncio.get_running_loop().time)
        self.task = tasks.spawn(self.election.run(self._work), me)

    async def _work(self) -> None:
        self.is_working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_working = False


@contextlib.asynccontextmanager
async def replicas(api: FakeApi, *names: str) -> AsyncIterator[list[Replica]]:
    made = [Replica(api, name) for name in names]
    try:
        yield made
    finally:
        await tasks.cancel(*(one.task for one in made))


async def test_one_leads_and_the_others_stand_by() -> None:
    api = FakeApi()
    async with replicas(api, "one", "two", "three") as made:
        await asyncio.sleep(60)
        assert [one.is_working for one in made].count(True) == 1
        assert {one.election.holder for one in made} == {next(one.election.me for one in made if one.is_working)}


async def test_an_orderly_end_hands_over_at_the_next_look() -> None:
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(1)
        async with replicas(api, "two") as (two,):
            await asyncio.sleep(3)
            assert (one.is_working, two.is_working) == (True, False)
            await tasks.cancel(one.task)
            await asyncio.sleep(RETRY_S)
            assert (one.is_working, two.is_working) == (False, True)
    found = api.peek(resources.LEASES, "controller", NAMESPACE)
    assert found is not None
    assert found["spec"]["holderIdentity"] == ""
    assert found["spec"]["leaseTransitions"] == 1


async def test_the_dead_are_replaced_when_their_lease_has_expired() -> None:
    api = FakeApi()
    api.put(
        resources.LEASES,
        {
            "metadata": {"name": "controller", "namespace": NAMESPACE},
            "spec": {"holderIdentity": "dead", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 9},
        },
    )
    async with replicas(api, "two") as (two,):
        await asyncio.sleep(EXPIRE_S - 1)
        assert not two.is_working
        await asyncio.sleep(1 + RETRY_S)
        assert two.is_working


async def test_who_cannot_renew_stops_and_begins_again() -> None:
    api = FakeApi()
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(1)
        api.refuse("get", resources.LEASES, Unreachable("cut off"), times=6)
        await asyncio.sleep(GIVE_UP_S + RETRY_S)
        assert not one.is_working
        await asyncio.sleep(4 * RETRY_S)
        assert one.is_working


async def test_one_lost_race_is_no_error() -> None:
    api = FakeApi()
    api.refuse("create", resources.LEASES, ApiError(409, "AlreadyExists", "somebody was faster"))
    async with replicas(api, "one") as (one,):
        await asyncio.sleep(RETRY_S + 0.1)
        assert one.is_working


async def test_work_that_ends_by_itself_is_an_error() -> None:
    async def work() -> None:
        return

    election = Election(FakeApi(), NAMESPACE, "controller", "one", asyncio.get_running_loop().time)
    with pytest.raises(RuntimeError, match="ended by itself"):
        await election.run(work)
