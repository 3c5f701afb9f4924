"""The drain: how long a terminating pod keeps listening, and what the preStop hook of the user container waits for."""

from __future__ import annotations

import asyncio

import pytest

from queueproxy.drain import Drain, quiet_since
from queueproxy.meter import Meter
from tidegate.process import tasks


def make_drain(**periods: float) -> Drain:
    clock = asyncio.get_running_loop().time
    return Drain(Meter(clock()), clock, **periods)


@pytest.mark.parametrize(
    ("in_flight", "last_request", "expected"),
    [(0, 0.0, 101.0), (0, 100.4, 101.4), (1, 99.0, 130.0), (1, 110.0, 140.0)],
)
def test_quiet_period(in_flight, last_request, expected):
    meter = Meter(0.0)
    meter.arrived(last_request, is_proxied=False)
    if not in_flight:
        meter.ended(last_request, is_proxied=False)
    assert quiet_since(meter, 100.0, quiet_s=30, idle_s=1) == pytest.approx(expected)


@pytest.mark.looptime
async def test_an_idle_pod_is_quiet_after_a_second(looptime):
    drain = make_drain(quiet_s=30, idle_s=1)
    await drain.until_quiet()
    assert looptime == 1


@pytest.mark.looptime
async def test_the_end_of_the_last_request_shortens_the_period(looptime):
    loop = asyncio.get_running_loop()
    meter = Meter(loop.time())
    meter.arrived(loop.time(), is_proxied=False)
    loop.call_later(5, lambda: meter.ended(loop.time(), is_proxied=False))
    await Drain(meter, loop.time, quiet_s=30, idle_s=1).until_quiet()
    assert 6 <= looptime < 6.1


@pytest.mark.looptime
async def test_pre_stop_waits_for_the_end_of_the_drain(looptime):
    drain = make_drain(quiet_s=30, idle_s=1)
    waiting = tasks.spawn(drain.wait(), "pre-stop")
    await asyncio.sleep(0.5)
    await drain.until_quiet()
    assert drain.is_draining and not waiting.done()
    drain.finish()
    assert await waiting is True


@pytest.mark.looptime
async def test_pre_stop_without_a_drain_returns_after_a_second(looptime):
    drain = make_drain(quiet_s=30, idle_s=1)
    assert await drain.wait() is False
    assert looptime == 1
    assert not drain.is_draining
