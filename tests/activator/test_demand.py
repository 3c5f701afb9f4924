"""Demand: the autoscaler hears of the first waiter at once, of bursts soon, and of averages each second."""

from __future__ import annotations

import asyncio

import pytest

from activator.demand import Demand
from tidegate.contracts import report
from tidegate.process import tasks

pytestmark = pytest.mark.looptime

KEY = ("default", "hello-00001")


class World:
    """Demand with a link that keeps what is sent, and a count of who waits."""

    def __init__(self) -> None:
        self.on_connected = lambda _link: None
        self.on_moved = lambda: None
        self.session_s = 1.0
        self.peer_version = report.VERSION
        self.others: list[World] = []
        self.histories: list[report.History] = []
        self.sent: list[report.Report] = []
        self.waiting = 0
        self.demand = Demand(self, asyncio.get_running_loop().time, lambda _key: self.waiting)  # type: ignore[arg-type]

    def links_for(self, _namespace: str, _revision: str) -> list[World]:
        return [self, *self.others]

    def send(self, message: report.Message) -> bool:
        if isinstance(message, report.History):
            self.histories.append(message)
            return True
        self.sent += message.reports if isinstance(message, report.Reports) else [message]
        return True

    def arrive(self, count: int = 1) -> None:
        for _ in range(count):
            self.demand.arrived(KEY, asyncio.get_running_loop().time())
            self.waiting += 1
            self.demand.began_to_wait(KEY)

    @property
    def pokes(self) -> list[int]:
        return [item.in_flight for item in self.sent if item.is_first]


async def test_the_first_waiter_is_reported_in_the_same_turn():
    world = World()
    world.arrive()
    (first,) = world.sent
    assert (first.namespace, first.revision, first.is_first) == (*KEY, True)
    assert (first.interval_s, first.in_flight, first.requests) == (0.0, 1, 0)


async def test_a_burst_is_told_again_as_it_doubles_but_not_for_each_request():
    world = World()
    world.arrive(50)
    assert world.pokes == [1]
    await asyncio.sleep(0.021)
    assert world.pokes == [1, 50]
    world.arrive(49)
    await asyncio.sleep(0.1)
    assert world.pokes == [1, 50]
    world.arrive(1)
    await asyncio.sleep(0.1)
    assert world.pokes == [1, 50, 100]


async def test_a_planned_poke_is_dropped_when_nobody_waits_any_longer():
    world = World()
    world.arrive(2)
    world.waiting = 0
    await asyncio.sleep(0.1)
    assert world.pokes == [1]


async def test_a_new_first_waiter_within_the_pause_is_told_after_it():
    world = World()
    world.arrive()
    world.waiting = 0
    world.demand.ended(KEY, asyncio.get_running_loop().time())
    await asyncio.sleep(0.01)
    world.arrive()
    assert world.pokes == [1]
    await asyncio.sleep(0.02)
    assert world.pokes == [1, 1]


async def test_averages_each_second_then_one_zero_then_silence():
    world = World()
    running = tasks.spawn(world.demand.run(), "demand")
    world.demand.arrived(KEY, asyncio.get_running_loop().time())
    world.demand.arrived(KEY, asyncio.get_running_loop().time())
    await asyncio.sleep(1.5)
    world.demand.ended(KEY, asyncio.get_running_loop().time())
    world.demand.ended(KEY, asyncio.get_running_loop().time())
    await asyncio.sleep(10)
    assert [(round(item.concurrency, 3), item.requests) for item in world.sent] == [(2.0, 2), (1.0, 0), (0.0, 0)]
    assert [item.interval_s for item in world.sent] == pytest.approx([1.0] * 3)
    assert [item.sequence for item in world.sent] == [1, 2, 3]
    assert world.demand.in_flight(KEY) == 0
    await tasks.cancel(running)


async def test_a_fresh_connection_hears_who_waits():
    world = World()
    world.arrive(3)
    world.sent.clear()
    world.on_connected(world)
    assert world.pokes == [3]
    world.on_moved()
    assert world.pokes == [3, 3]
    world.waiting = 0
    world.on_connected(world)
    assert world.pokes == [3, 3]


async def test_a_fresh_connection_hears_what_was():
    world = World()
    running = tasks.spawn(world.demand.run(), "demand")
    world.demand.arrived(KEY, asyncio.get_running_loop().time())
    await asyncio.sleep(3.5)
    world.on_connected(world)
    assert world.histories == [report.History(*KEY, [1.0, 1.0, 1.0], [1.0, 0.0, 0.0])]
    await tasks.cancel(running)


async def test_while_nobody_is_known_to_decide_all_hear():
    world, other = World(), World()
    world.others = [other]
    world.arrive()
    assert world.pokes == other.pokes == [1]
    world.demand.tick()
    assert len(world.sent) == len(other.sent) == 2


async def test_who_sits_on_a_standby_pod_is_told_once_a_second_and_as_it_doubles():
    world = World()
    clock = asyncio.get_running_loop().time
    for _ in range(3):
        world.demand.arrived(KEY, clock())
        world.demand.took_standby(KEY)
        await asyncio.sleep(0.1)
    assert world.pokes == [1, 2]
    world.demand.arrived(KEY, clock())
    world.demand.took_standby(KEY)
    assert world.pokes == [1, 2, 4]
    for _ in range(4):
        world.demand.ended(KEY, clock())
    await asyncio.sleep(0.5)
    world.demand.arrived(KEY, clock())
    world.demand.took_standby(KEY)
    assert world.pokes == [1, 2, 4]
    await asyncio.sleep(0.5)
    world.demand.took_standby(KEY)
    assert world.pokes == [1, 2, 4, 1]
