"""What an autoscaler keeps over a restart, and what it makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler import snapshot, state
from autoscaler.fleet import Fleet
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Because, ServingMode

KEY = ("default", "hello-00001", "uid-1")
SPEC = ScalingSpec(target=10.0, total=10.0)
UNIX_S = 1_800_000_000.0


def loaded(spec, loads, begin=1000):
    """Return a fleet whose revision 0 has seen `loads`, one a second, and the second after the last."""
    fleet = Fleet()
    fleet.add(0, spec, state.fresh(float(begin)))
    fleet.see(0, ready_pods=4, current_scale=4)
    second = begin
    for load in loads:
        fleet.record(second, np.array([float(load)]), np.array([2.0 * load]), np.array([True]))
        if second % 2:
            list(fleet.turn(float(second), second, np.zeros(1, np.int64), np.zeros(1, np.bool_)))
        second += 1
    return fleet, second


def restarted(spec, data, at, unix_s=UNIX_S):
    """Return a new process's fleet with what the bytes tell, at `at` on its own clock."""
    memory = state.restored(
        float(at),
        activity=Activity.ACTIVE,
        activity_age_s=1000.0,
        is_initialized=True,
        serving_mode=ServingMode.SERVE,
    )
    fleet = Fleet()
    record = snapshot.read(data, unix_s).get(KEY)
    fleet.add(0, spec, snapshot.memory_of(record, memory, float(at)) if record else memory)
    fleet.see(0, ready_pods=4, current_scale=4)
    if record:
        snapshot.fill(fleet, 0, record, at, float(at))
    return fleet


def test_windows_survive_with_another_clock_and_without_the_gap():
    fleet, second = loaded(SPEC, [40] * 60)
    data = snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)
    again = restarted(SPEC, data, at=77, unix_s=UNIX_S + 15)
    assert again.windows.averages_of(0, "concurrency", 76) == (40.0, 40.0)
    # One new second beside fifty-nine old ones: the gap of fifteen seconds counts for nothing.
    again.record(77, np.array([100.0]), np.array([0.0]), np.array([True]))
    assert again.windows.averages_of(0, "concurrency", 77)[0] == 41.0


def test_nothing_is_taken_away_before_a_window_of_new_data():
    fleet, second = loaded(SPEC, [0] * 60)
    data = snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)
    again = restarted(SPEC, data, at=100)
    for now in range(100, 161):
        again.record(now, np.array([1.0]), np.array([1.0]), np.array([True]))
        decision = again.decide_one(0, float(now), now, 0)
        held = decision.desired, decision.because
        assert held == ((4, Because.WINDOW_NOT_FULL) if now < 160 else (2, Because.SCALE_DOWN_RATE))


def test_panic_survives():
    fleet, second = loaded(SPEC, [10] * 50 + [200] * 6)
    assert fleet.memory(0).panic_pods == 20
    data = snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)
    again = restarted(SPEC, data, at=500)
    again.record(500, np.array([10.0]), np.array([0.0]), np.array([True]))
    decision = again.decide_one(0, 500.0, 500, 0)
    assert (decision.desired, decision.is_panicking) == (20, True)


def test_the_scale_down_delay_survives():
    spec = ScalingSpec(target=10.0, total=10.0, stable_window_s=6.0, scale_down_delay_s=60.0)
    fleet, second = loaded(spec, [70] * 10 + [10] * 10)
    data = snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)
    again = restarted(spec, data, at=500)
    kept = again.memory(0).delayed
    assert kept[0][1] == max(pods for _bucket, pods in fleet.memory(0).delayed)
    assert list(kept) == sorted(kept) and kept[-1][0] <= 250


def test_start_times_and_idle_times_survive():
    spec = ScalingSpec(is_prewarmed=True)
    fleet, second = loaded(spec, [0] * 4)
    for _ in range(9):
        fleet.idle_times[0].count(600.0)
    data = snapshot.take(fleet, {0: KEY}, {0: (2.5, 3.0)}, float(second), UNIX_S)
    assert snapshot.read(data, UNIX_S)[KEY].starts_s == [2.5, 3.0]
    again = restarted(spec, data, at=9000)
    assert again.idle_times[0].dump() == fleet.idle_times[0].dump()
    assert again.idle_times[0].idle_since == pytest.approx(9000 - (second - fleet.idle_times[0].idle_since))


def test_an_idle_revision_costs_nothing():
    fleet, second = loaded(SPEC, [])
    data = snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)
    assert snapshot.read(data, UNIX_S) == {}


def test_a_busy_one_costs_a_few_hundred_bytes():
    fleet, second = loaded(SPEC, range(60))
    assert len(snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S)) < 400


def test_times_go_on_while_nobody_looks():
    spec = ScalingSpec(target=10.0, total=10.0, stable_window_s=6.0, scale_down_delay_s=600.0)
    fleet, second = loaded(spec, [10] * 50 + [200] * 6)
    data = snapshot.take(fleet, {0: KEY}, {0: (1.0,)}, float(second), UNIX_S)
    soon, late = (snapshot.read(data, UNIX_S + age_s)[KEY] for age_s in (0, 400))
    assert late.panic_age_s == soon.panic_age_s + 400
    assert [ago for ago, _pods in late.delayed] == [ago + 200 for ago, _pods in soon.delayed]
    assert (bool(soon.windows), bool(late.windows), late.starts_s) == (True, False, [1.0])


def test_what_is_from_the_future_tells_nothing():
    fleet, second = loaded(SPEC, [40] * 60)
    assert snapshot.read(snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S), UNIX_S - 1) == {}


def test_what_sources_tell_themselves_is_left_to_them():
    spec = ScalingSpec(target=10.0, total=10.0, stable_window_s=300.0)
    fleet, second = loaded(spec, [40] * 300)
    record = snapshot.read(snapshot.take(fleet, {0: KEY}, {}, float(second), UNIX_S), UNIX_S)[KEY]
    again = Fleet()
    again.add(0, spec, state.fresh(0.0))
    snapshot.fill(again, 0, record, 5000, 5000.0, told_s=120)
    kept = [at for at, _value in again.windows.seconds(0, "concurrency")]
    assert (kept[0], kept[-1], len(kept)) == (4700, 4879, 180)
    assert snapshot.record_of(fleet, 0, KEY, (), float(second), told_s=300).windows == {}


def test_what_was_decided_since_the_restart_is_kept():
    record = snapshot.Record(*KEY, panic_age_s=5.0, panic_pods=20, delayed=[(9, 8), (4, 6)])
    since = state.Memory(began_at=990.0, panic_at=1000.0, panic_pods=3, delayed=((499, 7), (500, 2)))
    memory = snapshot.memory_of(record, since, 1000.0)
    assert (memory.panic_at, memory.panic_pods) == (1000.0, 3)
    assert memory.delayed == ((491, 8), (499, 7), (500, 2))


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x93\x01\x02"])
def test_what_is_no_snapshot_is_refused(data):
    with pytest.raises(ValueError, match="not a snapshot"):
        snapshot.read(data, UNIX_S)
