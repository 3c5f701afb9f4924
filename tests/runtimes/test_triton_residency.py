"""Loads on demand as timelines: once for all who wait, within bounds, and nothing evicted that is in use."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.repository.swap_plan import SwapLimits
from runtimes.triton.repository_api import LoadFailed
from runtimes.triton.residency import Full, Residency

LOAD_S, UNLOAD_S = 1.0, 0.1


class FakeTriton:
    """Loads in a second, unloads in a tenth; remembers what it was asked, and never more than it should hold."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.asked: list[str] = []
        self.inside: set[str] = set()
        self.broken: set[str] = set()
        self.most = 0

    async def load(self, name: str) -> None:
        self.asked.append(f"+{name}")
        await asyncio.sleep(LOAD_S)
        if name in self.broken:
            raise LoadFailed(f"{name} is broken")
        self.inside.add(name)
        self.most = max(self.most, len(self.inside))

    async def unload(self, name: str) -> None:
        self.asked.append(f"-{name}")
        await asyncio.sleep(UNLOAD_S)
        self.inside.discard(name)


def residency(triton: FakeTriton, **limits: float) -> Residency:
    chosen = SwapLimits(**{"budget_bytes": triton.room, "min_residency_s": 0.0, **limits})  # type: ignore[arg-type]
    return Residency(triton.load, triton.unload, chosen, asyncio.get_running_loop().time)


async def use(models: Residency, name: str, use_s: float = 0.0, timeout_s: float = 60.0) -> None:
    await models.wait(name, timeout_s)
    try:
        await asyncio.sleep(use_s)
    finally:
        models.leave(name)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_one_load_for_all_who_wait_and_none_for_who_comes_later() -> None:
    triton = FakeTriton()
    models = residency(triton)
    assert not models.enter("a")
    await asyncio.gather(*(use(models, "a") for _ in range(50)))
    assert models.enter("a")
    await use(models, "a")
    assert triton.asked == ["+a"]
    assert now() == pytest.approx(LOAD_S)
    assert (models.loads, models.waiting, models.loaded) == (1, 0, ["a"])


@pytest.mark.looptime
async def test_a_failed_load_is_told_to_all_and_not_tried_again_at_once() -> None:
    triton = FakeTriton()
    triton.broken.add("a")
    models = residency(triton)
    told = await asyncio.gather(*(use(models, "a") for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["a is broken"] * 3
    with pytest.raises(LoadFailed, match="a is broken"):
        await use(models, "a")
    assert triton.asked == ["+a"]
    await asyncio.sleep(10)
    triton.broken.clear()
    await use(models, "a")
    assert triton.asked == ["+a", "+a"]


@pytest.mark.looptime
async def test_the_least_recently_used_goes_and_never_one_in_use() -> None:
    triton = FakeTriton(room=2)
    models = residency(triton)
    await use(models, "a")
    await use(models, "b")
    busy = asyncio.create_task(use(models, "a", use_s=5))
    await asyncio.sleep(0)
    await use(models, "c")
    assert triton.asked == ["+a", "+b", "-b", "+c"]
    await busy
    await asyncio.gather(*(use(models, name) for name in "dededabc" * 3))
    assert triton.most <= 2
    assert models.evictions == triton.asked.count("-a") + sum(triton.asked.count(f"-{name}") for name in "bcde")


@pytest.mark.looptime
async def test_a_model_that_is_always_in_use_is_drained_for_one_that_waited_too_long() -> None:
    triton = FakeTriton(room=1)
    models = residency(triton, max_wait_s=3.0)
    stop = asyncio.Event()

    async def keep_busy() -> None:
        while not stop.is_set():
            await use(models, "a", use_s=0.5)

    workers = [asyncio.create_task(keep_busy()) for _ in range(2)]
    await asyncio.sleep(2)
    began = now()
    await use(models, "b")
    assert now() - began < 3.0 + 0.5 + UNLOAD_S + LOAD_S + 0.01
    stop.set()
    await asyncio.gather(*workers)
    assert triton.most == 1


@pytest.mark.looptime
@pytest.mark.parametrize("leave_at_s", [0.0, 0.5, 1.0, 1.5])
async def test_a_waiter_that_leaves_takes_nothing_along(leave_at_s: float) -> None:
    triton = FakeTriton(room=1)
    models = residency(triton)
    leaver = asyncio.create_task(use(models, "a", use_s=100))
    stayer = asyncio.create_task(use(models, "a"))
    await asyncio.sleep(leave_at_s)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    await stayer
    await use(models, "b")  # possible only when nobody holds a any more
    assert triton.asked == ["+a", "-a", "+b"]


@pytest.mark.looptime
async def test_waits_are_bounded_in_number_and_time() -> None:
    triton = FakeTriton()
    models = residency(triton, max_waiting=2)
    first = [asyncio.create_task(use(models, "a", timeout_s=0.5)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await use(models, "b")
    late = await asyncio.gather(*first, return_exceptions=True)
    assert [type(each) for each in late] == [TimeoutError, TimeoutError]
    assert (models.refused, models.waiting) == (1, 0)
    await asyncio.sleep(LOAD_S)
    assert models.enter("a")  # the load went on: the next one finds it


@pytest.mark.looptime
async def test_what_clients_load_and_unload_themselves_is_taken_over() -> None:
    triton = FakeTriton()
    models = residency(triton)
    await use(models, "a")
    models.is_now({"b"})
    assert models.loaded == ["b"]
    assert models.enter("b")
    models.leave("a")  # a request of the model that is gone ends: nothing happens
    assert not models.enter("a")


@pytest.mark.looptime
async def test_any_mix_keeps_the_bound_and_ends() -> None:
    triton = FakeTriton(room=3)
    triton.broken = {"m7"}
    models = residency(triton, max_wait_s=2.0, min_residency_s=0.3)
    asked = [(f"m{number * 7 % 11}", 0.05 * (number % 4)) for number in range(200)]
    done = await asyncio.gather(*(use(models, name, use_s) for name, use_s in asked), return_exceptions=True)
    assert {type(each) for each in done} == {type(None), LoadFailed}
    assert triton.most <= 3
    assert models.waiting == 0
