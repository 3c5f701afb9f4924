"""The fleet form is the scalar form: every decision of every revision, bit for bit. `make deep` compares millions."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest

from autoscaler import state
from autoscaler.fleet import Fleet
from tests.support import fleets
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because, ServingMode

IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LOADS = [(seed, 500, 60, 300) for seed in range(100)] if IS_DEEP else [(seed, 100, 15, 50) for seed in range(6)]
SECONDS = [(seed, 60, 600, 40) for seed in range(60)] if IS_DEEP else [(seed, 30, 60, 20) for seed in range(4)]
SPEC = ScalingSpec()


@pytest.mark.parametrize(("seed", "revisions", "turns", "kinds"), LOADS)
def test_decisions_agree_whatever_the_loads(seed, revisions, turns, kinds):
    assert fleets.compare_decisions(seed, revisions, turns, kinds) == revisions * turns


@pytest.mark.parametrize(("seed", "revisions", "seconds", "kinds"), SECONDS)
def test_decisions_on_recorded_seconds_agree(seed, revisions, seconds, kinds):
    assert fleets.compare_windows(seed, revisions, seconds, kinds) >= revisions * (seconds // 2)


def asleep():
    return state.restored(
        0.0, activity=Activity.INACTIVE, activity_age_s=1e4, is_initialized=True, serving_mode=ServingMode.PROXY
    )


def fleet_of(revisions, spec=SPEC):
    fleet = Fleet()
    for slot in range(revisions):
        fleet.add(slot, spec, asleep())
    return fleet


def turn(fleet, now, silent=True):
    """Return the slots decided and those with news."""
    slots = fleet.state.slots
    made = list(fleet.turn(float(now), now, np.zeros(slots, np.int64), np.full(slots, silent)))
    return (
        [slot for one in made for slot in one.slots.tolist()],
        [one.slots[row] for one in made for row in one.news.tolist()],
    )


def test_who_is_asleep_takes_no_turns():
    fleet = fleet_of(3)
    assert turn(fleet, 2)[0] == [0, 1, 2]
    assert turn(fleet, 4)[0] == []
    # Whoever is heard of, or seen anew, is awake.
    assert turn(fleet, 6, silent=False)[0] == [0, 1, 2]
    fleet.see(1, ready_pods=1)
    assert turn(fleet, 8)[0] == [1]
    fleet.configure(2, ScalingSpec(min_scale=1))
    assert turn(fleet, 10)[0] == [1, 2]


def test_only_news_are_told():
    fleet = fleet_of(2)
    assert turn(fleet, 2, silent=False)[1] == [0, 1]
    assert turn(fleet, 4, silent=False)[1] == []
    fleet.see(0, not_ready_pods=1)
    assert turn(fleet, 6, silent=False)[1] == [0]


def test_a_scale_that_is_not_there_is_news_until_it_is():
    fleet = fleet_of(1, ScalingSpec(min_scale=2))
    for now in (2, 4, 6):
        assert turn(fleet, now)[1] == [0]
    fleet.see(0, current_scale=2)
    assert turn(fleet, 8)[1] == [0]
    assert turn(fleet, 10)[1] == []


def test_windows_are_given_back_in_sleep_and_taken_again_for_a_report():
    fleet = fleet_of(2)
    loads = np.array([5.0, 0.0])
    fleet.record(10, 0 * loads, 0 * loads, np.array([True, False]))
    turn(fleet, 12, silent=False)
    assert fleet.windows.open_slots[:2].tolist() == [True, False]
    turn(fleet, 14)
    assert fleet.windows.open_slots[:2].tolist() == [False, False]
    fleet.record(140, loads, loads, np.array([True, False]))
    assert fleet.windows.averages_of(0, "concurrency", 140) == (5.0, 5.0)


def test_revisions_come_and_go_and_slots_are_used_again():
    fleet = fleet_of(100)
    loads = np.arange(fleet.state.slots, dtype=float)
    fleet.record(10, loads, loads, np.ones(fleet.state.slots, np.bool_))
    for slot in range(0, 100, 2):
        fleet.remove(slot)
    assert fleet.windows.averages_of(51, "concurrency", 10) == (51.0, 51.0)
    fleet.add(50, ScalingSpec(target=1.0), state.fresh(11.0))
    assert (fleet.windows.averages_of(50, "concurrency", 11), fleet.memory(50)) == (None, state.fresh(11.0))
    decided, _ = turn(fleet, 12, silent=False)
    assert decided == sorted([*range(1, 100, 2), 50])


def test_a_revision_removed_between_two_chunks_is_left_out(monkeypatch):
    monkeypatch.setattr("autoscaler.fleet.CHUNK", 2)
    fleet = fleet_of(4)
    chunks = fleet.turn(2.0, 2, np.zeros(4, np.int64), np.zeros(4, np.bool_))
    assert next(chunks).slots.tolist() == [0, 1]
    fleet.remove(2)
    assert [one.slots.tolist() for one in chunks] == [[3]]


def test_equal_specs_share_a_row():
    fleet = fleet_of(50)
    fleet.configure(7, ScalingSpec(target=3.0))
    assert len(fleet.specs) == 2
    fleet.configure(7, ScalingSpec())
    assert len(fleet.specs) == 1


def test_a_poke_and_a_turn_remember_the_same():
    spec = ScalingSpec(target=1.0, total=1.0, scale_down_delay_s=20.0)
    poked, ticked = fleet_of(1, spec), fleet_of(1, spec)
    one = poked.decide_one(0, 10.0, 10, waiting=4)
    [two] = ticked.turn(10.0, 10, np.full(ticked.state.slots, 4), np.zeros(1, np.bool_))
    assert (one, one.because) == (two.decision(0), Because.WAITING_REQUEST)
    assert poked.memory(0) == ticked.memory(0)


ASLEEP = state.Memory(
    began_at=0.0,
    wanted=0,
    activity=Activity.INACTIVE,
    activity_since=100.0,
    is_initialized=True,
    serving_mode=ServingMode.PROXY,
)


@pytest.mark.parametrize(
    ("spec", "memory", "is_sound"),
    [
        ({}, {}, True),
        ({}, {"activity_since": 150.0}, False),
        ({}, {"panic_at": 90.0}, False),
        ({}, {"surge_at": 99.0}, True),
        ({}, {"surge_at": 141.0}, False),
        ({"scale_down_delay_s": 300.0}, {}, False),
        ({"is_prewarmed": True}, {}, False),
    ],
)
def test_asleep_for_good_is_who_remembers_nothing_that_matters(spec, memory, is_sound):
    fleet, silent = Fleet(), np.ones(1, np.bool_)
    fleet.add(0, ScalingSpec(**spec), msgspec.structs.replace(ASLEEP, **memory))
    assert fleet.sound_asleep(199.0, silent, 60.0).tolist() == []
    # Before its first decision nobody has been told that it sleeps.
    fleet.state.columns["because"][0], fleet.state.columns["desired"][0] = 0, 0
    assert fleet.sound_asleep(199.0, silent, 60.0).tolist() == [0] * is_sound
    assert fleet.sound_asleep(199.0, ~silent, 60.0).tolist() == []
