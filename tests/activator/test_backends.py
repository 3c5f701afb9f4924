"""Backends: which addresses can be used, and the short cut past Kubernetes' own readiness."""

from __future__ import annotations

import asyncio

import pytest

from activator.backends import Backends
from tidegate.kube.endpoints import Endpoints

pytestmark = pytest.mark.looptime

KEY = ("default", "hello-00001")
A, B = ("10.0.0.1", 8012), ("10.0.0.2", 8012)


class World:
    """Backends with scripted pods: each answers `queue` from a moment on."""

    def __init__(self) -> None:
        self.ready_at = {A: 1e9, B: 1e9}
        self.asked: list[tuple[float, tuple[str, int]]] = []
        self.changes: list[float] = []
        self.is_wanted = True
        self.may_hurry = True
        self.time = asyncio.get_running_loop().time
        self.backends = Backends(
            on_change=lambda _key: self.changes.append(self.time()),
            is_wanted=lambda _key: self.is_wanted,
            may_hurry=lambda _key: self.may_hurry,
            ask=self.ask,
        )

    async def ask(self, address: tuple[str, int]) -> bytes | None:
        self.asked.append((self.time(), address))
        await asyncio.sleep(0.001)
        return b"open=0" if self.time() >= self.ready_at[address] else None

    def kubernetes_says(self, ready=(), not_ready=()) -> None:
        self.backends.replace(KEY, Endpoints(frozenset(ready), frozenset(not_ready)))

    @property
    def usable(self) -> set[tuple[str, int]]:
        return set(self.backends.usable(KEY))


async def test_ready_pods_are_trusted_without_a_question():
    world = World()
    world.kubernetes_says(ready=[A, B])
    assert world.usable == {A, B}
    await asyncio.sleep(1)
    assert world.asked == []
    assert len(world.changes) == 1


async def test_a_pod_is_used_as_soon_as_it_answers(looptime):
    world = World()
    world.ready_at[A] = 0.3
    world.kubernetes_says(not_ready=[A])
    while not world.usable:
        await asyncio.sleep(0.001)
    assert 0.3 <= looptime < 0.33
    world.kubernetes_says(ready=[A])
    assert world.usable == {A}
    assert len(world.changes) == 1


async def test_nobody_is_asked_while_nobody_waits():
    world = World()
    world.is_wanted = False
    world.kubernetes_says(not_ready=[A])
    await asyncio.sleep(1)
    assert world.asked == []
    world.is_wanted = True
    world.ready_at[A] = 0.0
    world.backends.hurry(KEY)
    world.backends.hurry(KEY)
    await asyncio.sleep(0.01)
    assert len(world.asked) == 1
    assert world.usable == {A}


async def test_a_revision_that_only_kubelet_can_judge_is_not_hurried():
    world = World()
    world.may_hurry = False
    world.kubernetes_says(not_ready=[A])
    await asyncio.sleep(1)
    assert world.asked == []


async def test_questions_grow_rarer_and_end_with_the_wish():
    world = World()
    world.kubernetes_says(not_ready=[A])
    await asyncio.sleep(30)
    assert len(world.asked) < 250
    world.is_wanted = False
    await asyncio.sleep(1)
    count = len(world.asked)
    await asyncio.sleep(10)
    assert len(world.asked) == count


async def test_a_pod_that_leaves_is_neither_asked_nor_used():
    world = World()
    world.ready_at[A] = 0.0
    world.kubernetes_says(not_ready=[A])
    await asyncio.sleep(0.01)
    assert world.usable == {A}
    world.kubernetes_says()
    assert world.usable == set()
    await asyncio.sleep(1)
    assert len(world.asked) == 1


async def test_a_pod_that_turns_unready_is_asked_again():
    world = World()
    world.kubernetes_says(ready=[A])
    world.kubernetes_says(not_ready=[A])
    assert world.usable == set()
    world.ready_at[A] = 0.0
    await asyncio.sleep(0.05)
    assert world.usable == {A}


async def test_a_pod_that_turns_unready_while_it_tells_of_its_start_is_asked_again():
    world = World()
    world.kubernetes_says(ready=[A])
    world.backends.inquire(KEY, A)
    await asyncio.sleep(0)
    world.kubernetes_says(not_ready=[A])
    world.ready_at[A] = 0.5
    await asyncio.sleep(1)
    assert world.usable == {A}


async def test_a_refusal_takes_back_our_own_word_but_not_kubernetes():
    world = World()
    world.ready_at[A] = 0.0
    world.kubernetes_says(ready=[B], not_ready=[A])
    await asyncio.sleep(0.01)
    world.ready_at[A] = 1e9
    world.backends.refused(KEY, A)
    world.backends.refused(KEY, B)
    assert world.usable == {B}
    world.ready_at[A] = 0.0
    await asyncio.sleep(0.1)
    assert world.usable == {A, B}


async def test_an_unknown_revision_has_no_pods():
    assert World().usable == set()


async def test_standby_pods_are_told_apart_and_come_and_go():
    world = World()
    world.backends.replace(KEY, Endpoints(standby=frozenset([A])))
    assert (world.usable, set(world.backends.standby(KEY))) == (set(), {A})
    world.backends.replace(KEY, Endpoints(ready=frozenset([B]), standby=frozenset([A])))
    assert (world.usable, set(world.backends.standby(KEY))) == ({B}, {A})
    world.backends.replace(KEY, Endpoints())
    assert not world.backends.standby(KEY)
    assert len(world.changes) == 3
