"""The autoscaler's turns under the virtual clock: one by one or as a fleet, with schedules, pre-warmed, asleep."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from loadtest.simulate import turns
from loadtest.simulate.ledger import Ledger
from loadtest.traces.arrivals import Arrival, Trace
from tests.support.simulations import app, run, synthetic, trace_of

OWN = "tidegate.dev/"
MIDNIGHT = 1_767_571_200.0
"""2026-01-05 00:00 UTC, a Monday."""


def numbers(ledger: Ledger) -> tuple[object, ...]:
    return ledger.pod_s, ledger.started, ledger.decisions, list(ledger.waits_s), ledger.ready.means


def test_one_by_one_or_as_a_fleet_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = synthetic("mmpp:low=1,high=20,for=300s")
    busy = app(4, window="20s", scale_down_delay="10s")
    one_by_one, _ = run(trace, "ours", busy, start="lognormal:3s,9s")
    monkeypatch.setattr(turns, "FEW", 0)
    as_a_fleet, _ = run(trace, "ours", busy, start="lognormal:3s,9s")
    assert numbers(as_a_fleet) == numbers(one_by_one)


def test_several_functions_are_revisions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(function: str) -> list[Arrival]:
        return [
            arrival._replace(function=function) for arrival in synthetic("poisson:rate=1,for=60s", seed=len(function))
        ]

    names = ["a", "bb", "ccc"]
    apart = [run(Trace(name, "test", lambda name=name: iter(read(name)), 90.0), "ours", app(1))[0] for name in names]
    together = sorted(arrival for name in names for arrival in read(name))
    for few in (0, 8):
        monkeypatch.setattr(turns, "FEW", few)
        ledger, _ = run(Trace("all", "test", lambda: iter(together), 90.0), "ours", app(1))
        assert ledger.answered == sum(one.answered for one in apart)
        assert ledger.started >= max(one.started for one in apart)
        assert math.isclose(ledger.busy_s, sum(one.busy_s for one in apart), rel_tol=0.05)


def test_a_schedule_holds_by_the_traces_calendar() -> None:
    scheduled = app().annotated({OWN + "schedule": '[{"start": "0 9 * * *", "end": "0 10 * * *", "min-scale": 3}]'})
    at_eight = replace(trace_of((0, 0.1), duration_s=3 * 3600.0), began_unix_s=MIDNIGHT + 8 * 3600)
    ledger, _ = run(at_eight, "ours", scheduled)
    ready = ledger.ready
    per_hour = [ready.means[int((hour + 0.5) * 3600 / ready.width_s)] for hour in range(3)]
    assert per_hour == [0, 3, 0]


def test_without_a_calendar_there_is_no_schedule() -> None:
    scheduled = app().annotated({OWN + "schedule": '[{"start": "0 0 * * *", "end": "59 23 * * *", "min-scale": 3}]'})
    ledger, _ = run(trace_of((100, 0.1), duration_s=600), "ours", scheduled)
    assert ledger.peak == 1


def test_pre_warming_has_a_pod_there_before_the_regular_call() -> None:
    """A call every ten minutes: the histogram learns it, and from then on no call is cold."""
    regular = trace_of(*((600.0 * number, 0.1) for number in range(24)))
    plain, _ = run(regular, "ours", app(window="6s"), start="2s")
    assert plain.cold == 24
    warmed, _ = run(regular, "ours", app(window="6s").annotated({OWN + "prewarm": "histogram"}), start="2s")
    assert warmed.cold <= 12
    assert list(warmed.waits_s)[-12:] == [0.0] * 12
    # A pod that is always there would have cost 14,000 pod-seconds.
    assert warmed.pod_s < 7000


def test_who_sleeps_costs_no_turns() -> None:
    ledger, _ = run(trace_of((0, 0.1), duration_s=86400), "ours", app(window="6s"))
    assert ledger.decisions < 50


def test_the_last_pods_delay_keeps_one() -> None:
    delayed = app(window="6s").annotated({OWN + "last-pod-delay": "100s"})
    ledger, _ = run(trace_of((0, 0.1), (90, 0.1), duration_s=400), "ours", delayed)
    assert ledger.cold == 1
    assert 190 < ledger.pod_s < 215
