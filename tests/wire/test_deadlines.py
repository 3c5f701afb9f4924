"""Deadlines fire late by at most a slot, never early, and cost nothing while they move."""

from __future__ import annotations

import asyncio
import time

from tidegate.wire.deadlines import NEVER, Deadlines


class Sleeper:
    def __init__(self, deadline: float) -> None:
        self.filed_until = NEVER
        self.deadline = deadline
        self.expired_at: list[float] = []
        self.asked = 0
        self.woken = asyncio.Event()

    def next_deadline(self) -> float:
        self.asked += 1
        return self.deadline

    def expire(self, now: float) -> None:
        self.expired_at.append(now)
        self.deadline = NEVER
        self.woken.set()


def _deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop(), resolution_s=0.01)


async def test_fires_after_its_deadline_and_soon() -> None:
    deadlines, now = _deadlines(), time.monotonic()
    sleepers = [Sleeper(now + delay) for delay in (0.0, 0.013, 0.013, 0.05)]
    dues = [sleeper.deadline for sleeper in sleepers]
    for sleeper in reversed(sleepers):
        deadlines.watch(sleeper, sleeper.deadline)
    for sleeper, due in zip(sleepers, dues, strict=True):
        await asyncio.wait_for(sleeper.woken.wait(), 10)
        assert sleeper.expired_at[0] >= due
    assert len(deadlines) == 0
    assert deadlines._timer is None  # nothing waits: nothing ticks


async def test_a_deadline_that_moved_later_is_asked_again() -> None:
    class Active(Sleeper):
        """Its deadline moves in the last moment."""

        def next_deadline(self) -> float:
            self.deadline = max(self.deadline, later)
            return super().next_deadline()

    deadlines, now = _deadlines(), time.monotonic()
    later = now + 60
    sleeper = Active(now + 0.01)
    deadlines.watch(sleeper, sleeper.deadline)
    while not sleeper.asked:
        await asyncio.sleep(0.001)
    assert (sleeper.expired_at, sleeper.deadline, len(deadlines)) == ([], later, 1)
    assert later <= sleeper.filed_until < later + 0.1
    deadlines.close()


async def test_a_deadline_that_moved_is_kept() -> None:
    deadlines, now = _deadlines(), time.monotonic()
    sleeper = Sleeper(now + 0.01)
    deadlines.watch(sleeper, sleeper.deadline)
    sleeper.deadline = now + 0.06
    await asyncio.wait_for(sleeper.woken.wait(), 10)
    assert sleeper.expired_at[0] >= now + 0.06


async def test_an_earlier_deadline_is_filed_anew_and_a_later_one_is_not() -> None:
    deadlines, now = _deadlines(), time.monotonic()
    sleeper = Sleeper(now + 100)
    deadlines.watch(sleeper, now + 100)
    deadlines.watch(sleeper, now + 200)
    assert now + 100 <= sleeper.filed_until < now + 100.1
    sleeper.deadline = now + 0.01
    deadlines.watch(sleeper, now + 0.01)
    assert len(deadlines) == 1
    await asyncio.wait_for(sleeper.woken.wait(), 10)
    deadlines.close()


async def test_forgotten_owners_are_not_asked() -> None:
    deadlines, now = _deadlines(), time.monotonic()
    kept, gone = Sleeper(now + 0.02), Sleeper(now + 0.01)
    deadlines.watch(kept, kept.deadline)
    deadlines.watch(gone, gone.deadline)
    deadlines.forget(gone)
    await asyncio.wait_for(kept.woken.wait(), 10)
    assert gone.asked == 0
    deadlines.watch(gone, NEVER)
    assert len(deadlines) == 0


async def test_an_owner_may_forget_another_while_slots_fire() -> None:
    deadlines, now = _deadlines(), time.monotonic()
    first, second = Sleeper(now), Sleeper(now)
    asked: list[Sleeper] = []

    def forget_the_other(sleeper: Sleeper, other: Sleeper) -> None:
        asked.append(sleeper)
        deadlines.forget(other)
        sleeper.woken.set()

    first.expire = lambda now: forget_the_other(first, second)  # type: ignore[method-assign]
    second.expire = lambda now: forget_the_other(second, first)  # type: ignore[method-assign]
    deadlines.watch(first, now)
    deadlines.watch(second, now)
    async with asyncio.timeout(10):
        await asyncio.wait(
            [asyncio.ensure_future(one.woken.wait()) for one in (first, second)], return_when="FIRST_COMPLETED"
        )
    await asyncio.sleep(0.05)
    assert len(asked) == 1
