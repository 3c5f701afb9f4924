"""Wakes in the activator, in virtual time: who carries the record, what it says, who pays no wake."""

from __future__ import annotations

import asyncio

import pytest

from tests.activator.test_pipeline import KEY, A, B, World
from tests.support.heads import answer_of, relay_of
from tidegate.contracts import report, wake
from tidegate.contracts.wake import Start, Wake
from tidegate.wire.director import Answer, Failure, Relay

pytestmark = pytest.mark.looptime


class Waking(World):
    """A world whose autoscaler and pods are driven by hand, and that keeps the wakes told."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.pipeline.demand.on_asked = self.pipeline.wakes.asked

    @property
    def told(self) -> list[Wake]:
        return [message for message in self.sent if isinstance(message, Wake)]

    def tell_start(self, pod: tuple[str, int], start: Start) -> None:
        self.pipeline.wakes.started(KEY, pod, wake.encode_start(start).encode())


def phases(record: Wake) -> dict[str, float]:
    return {stretch.name: stretch.duration_us / 1e3 for stretch in record.stretches}


def head_of(relay: Relay) -> bytes:
    """What the engine writes on the answer of this attempt."""
    return relay.answer_head if relay.on_answer is None else relay.on_answer()


async def test_an_autoscaler_of_the_release_before_is_told_no_wake():
    """It could not read it, and would end the link over which it hears who waits."""
    world = Waking()
    world.peer_version = report.WAKES_SINCE - 1
    _, direction = world.enter()
    world.show_pods(A)
    assert head_of(relay_of(await direction)).startswith(b"Server-Timing: ")
    assert world.told == []


async def test_a_wake_is_one_record_on_the_answer_of_the_request_that_paid_it():
    world = Waking()
    paying, direction = world.enter()
    await asyncio.sleep(0.01)
    world.pipeline.wakes.scaled(KEY)
    await asyncio.sleep(0.2)
    world.tell_start(A, Start(0.01, 0.15, (0.01, 0.05, 0.06, 0.03), "forked", "hello-1"))
    world.show_pods(A)
    relay = relay_of(await direction)
    await asyncio.sleep(0.005)
    line = head_of(relay)
    (record,) = world.told
    assert line == wake.server_timing(record)
    assert (record.namespace, record.revision, record.pod, record.way) == (*KEY, "hello-1", "forked")
    assert phases(record) == pytest.approx(
        {
            "held": 0.0,
            "decided": 10.0,
            "scheduled": 40.0,
            "process": 10.0,
            "imports": 50.0,
            "weights": 60.0,
            "warm-up": 30.0,
            "ready": 10.0,
            "first-byte": 5.0,
        }
    )
    assert record.total_us == 215_000
    world.end(paying, direction=relay)
    assert len(world.pipeline.wakes) == 0
    assert world.inquiries == []  # the pod had told before
    request, direction = world.enter()
    assert head_of(relay_of(direction)) == b""
    world.end(request)
    assert len(world.told) == 1
    world.assert_empty()


async def test_of_a_burst_the_first_one_carries_it():
    world = Waking(concurrency=1)
    entered = [world.enter() for _ in range(3)]
    await asyncio.sleep(0.1)
    world.show_pods(A, B)
    relays = [relay_of(await direction) for _, direction in entered[:2]]
    assert [head_of(relay) != b"" for relay in relays] == [True, False]
    world.end(entered[0][0], direction=relays[0])
    relays.append(relay_of(await entered[2][1]))
    assert head_of(relays[2]) == b""
    world.end(entered[1][0])
    world.end(entered[2][0])
    assert len(world.told) == 1
    world.assert_empty()


async def test_a_pod_that_kubernetes_called_ready_first_is_asked_how_it_started():
    world = Waking()
    request, direction = world.enter()
    await asyncio.sleep(0.1)
    world.show_pods(A)
    relay = relay_of(await direction)
    assert world.inquiries == [(KEY, A)]
    await asyncio.sleep(0.02)
    world.tell_start(A, Start(0.03, 0.05))
    assert b"wake-process-to-warm-up;dur=50.000" in head_of(relay)
    world.end(request)


async def test_a_late_word_of_the_pod_or_the_autoscaler_changes_nothing():
    world = Waking()
    request, direction = world.enter()
    await asyncio.sleep(0.1)
    world.show_pods(A)
    relay = relay_of(await direction)
    await asyncio.sleep(0.01)
    assert head_of(relay) != b""
    (record,) = world.told
    assert phases(record) == pytest.approx({"held": 0.0, "decided-to-ready": 100.0, "first-byte": 10.0})
    world.tell_start(A, Start(0.03, 0.05))
    world.pipeline.wakes.scaled(KEY)
    world.end(request)
    assert len(world.told) == 1


async def test_when_its_carrier_leaves_the_next_who_waits_carries_the_wake():
    world = Waking()
    leaver, _ = world.enter()
    await asyncio.sleep(0.05)
    world.pipeline.wakes.scaled(KEY)
    await asyncio.sleep(0.05)
    stayer, direction = world.enter()
    world.end(leaver, status=0, failure=Failure.CLIENT_GONE)
    await asyncio.sleep(0.1)
    world.show_pods(A)
    assert head_of(relay_of(await direction)).startswith(b"Server-Timing: wake-held;dur=0.000, wake-decided;dur=0.000")
    (record,) = world.told
    assert record.total_us == 100_000  # the stayer's own time
    world.end(stayer)
    world.assert_empty()


async def test_a_wake_that_nobody_waits_for_any_more_is_forgotten():
    world = Waking(timeout_s=1)
    request, direction = world.enter()
    await asyncio.sleep(2)
    assert isinstance(answer_of(await direction), Answer)
    world.end(request, status=504)
    assert len(world.pipeline.wakes) == 0 and world.told == []
    world.assert_empty()


async def test_a_pod_that_refuses_is_part_of_the_wake():
    world = Waking()
    request, direction = world.enter()
    await asyncio.sleep(0.1)
    world.show_pods(A)
    failed = relay_of(await direction)
    world.pods[KEY] = set()
    world.pipeline.pods_changed(KEY)
    again = world.pipeline.retry(request, failed, Failure.CONNECT)
    await asyncio.sleep(0.1)
    world.show_pods(B)
    line = head_of(relay_of(await again))
    (record,) = world.told
    assert (record.total_us, record.pod, line) == (200_000, B[0], wake.server_timing(record))
    world.end(request)
    world.assert_empty()


@pytest.mark.parametrize("who", ["operator", "revision"])
async def test_without_the_header_the_record_is_told_all_the_same(who: str):
    world = Waking()
    if who == "operator":
        world.pipeline.wakes.writes_header = False
    else:
        world.revisions[KEY] = type(world.revisions[KEY])(0, world.revisions[KEY].timeouts, True, False)
    request, direction = world.enter()
    await asyncio.sleep(0.1)
    world.show_pods(A)
    assert head_of(relay_of(await direction)) == b""
    assert len(world.told) == 1
    world.end(request)


async def test_phases_are_counted():
    world = Waking()
    request, direction = world.enter()
    await asyncio.sleep(0.1)
    world.pipeline.wakes.scaled(KEY)
    world.show_pods(A)
    head_of(relay_of(await direction))
    world.end(request)

    def value(name: str, **labels: str) -> float | None:
        return world.metrics.registry.get_sample_value(f"tidegate_activator_{name}", labels)

    assert value("wake_seconds_count") == 1
    assert value("wake_seconds_sum") == pytest.approx(0.1)
    assert value("wake_phase_seconds_sum", phase="decided") == pytest.approx(0.1)
    assert value("wake_phase_seconds_count", phase="untold") == 1
    assert value("wake_phase_seconds_count", phase="imports") == 0
