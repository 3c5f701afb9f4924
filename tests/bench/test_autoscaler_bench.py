"""The measurements of the autoscaler measure what they say: everything is decided, taken in, patched."""

from __future__ import annotations

import pytest

from bench import autoscaler, autoscaler_memory
from bench.autoscaler_world import Autoscaler, SimulatedApi, revision


def test_every_revision_is_decided_in_every_tick_and_most_have_no_news():
    cost = autoscaler.decision_cost(200)
    assert cost["us_per_revision"] > 0
    assert cost["share_with_news"] < 0.5


async def test_all_reports_are_taken():
    rates = await autoscaler._ingest_rates(50)
    assert min(rates.values()) > 0


async def test_wakes_and_cold_starts_end_in_patches(monkeypatch):
    monkeypatch.setattr(autoscaler, "WAKE_REVISIONS", 40)
    monkeypatch.setattr(autoscaler, "WAKES", 5)
    monkeypatch.setattr(autoscaler, "COLD_STARTS", 40)
    assert (await autoscaler.wakes())["p99"] > 0
    assert (await autoscaler.cold_starts())["per_cpu_s"] > 0


async def test_the_simulated_server_makes_pods_ready_and_the_autoscaler_sees_them():
    api = SimulatedApi(3, 0)
    system = Autoscaler(api)
    await system.start()
    system.activator().data_received(system.poke(1))
    await system.rest()
    assert [system.world.pods(("default", revision(number))).ready for number in range(3)] == [0, 1, 0]
    await system.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", autoscaler_memory.KINDS)
def test_memory_is_read_in_a_process_of_its_own(kind):
    assert autoscaler_memory.memory(50, kind) > 0


@pytest.mark.parametrize("account", ["traced", "resident"])
async def test_a_life_is_led_to_its_end(account):
    await autoscaler_memory.grown(20, "lived", account)
