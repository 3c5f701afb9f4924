"""Policies by name, and what sets them apart on traces small enough to follow by hand."""

from __future__ import annotations

import pytest

from loadtest.simulate import policies
from loadtest.simulate.compared import needs, plan
from loadtest.traces.arrivals import Arrival
from tests.support.simulations import app, run, synthetic, trace_of


@pytest.mark.parametrize("text", [*policies.NAMES, "keep-alive=20m", "fixed=3"])
def test_policies_are_called_as_they_were_named(text: str) -> None:
    assert policies.parse(text).label == text


@pytest.mark.parametrize("text", ["best", "fixed", "fixed=many", "fixed=99999", "ours=3", "keep-alive=-1s"])
def test_what_is_no_policy_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"policy|week"):
        policies.parse(text)


def test_knative_has_none_of_what_tidegate_adds_and_only_the_bounds_of_the_annotations() -> None:
    annotated = app(8, target=3, min_scale=1, max_scale=9)
    knative, ours = (policies.parse(name).spec_of(annotated) for name in ("knative", "ours"))
    assert (knative.target, knative.min_scale, knative.max_scale) == (pytest.approx(5.6), 1, 9)
    assert ours.target == pytest.approx(2.1)
    assert ours.is_panic_paced and not knative.is_panic_paced


# Keep-alive


def test_keep_alive_starts_a_pod_per_request_without_a_seat_and_keeps_it() -> None:
    ledger, _ = run(trace_of((0, 5), (0, 5), (10, 5), (100, 1)), "keep-alive=20s", app(1), start="1s")
    assert ledger.started == 3  # two at once, none at 10, a new one at 100
    assert ledger.cold == 3


def test_keep_alive_fills_the_seats_of_pods_that_start() -> None:
    ledger, _ = run(trace_of(*[(0.0, 1.0)] * 5), "keep-alive", app(4), start="1s")
    assert ledger.started == 2


# The oracle's plan

CHANGES = [
    ("nobody", [], 1, []),
    ("one after another, apart", [(0, 1), (1, -1), (9, 1), (10, -1)], 1, [(0, 1), (9, 10)]),
    ("one after another, near", [(0, 1), (1, -1), (3, 1), (4, -1)], 1, [(0, 4)]),
    ("two at once", [(0, 1), (1, 1), (2, -1), (3, -1)], 1, [(0, 3), (1, 2)]),
    ("two at once, two slots", [(0, 1), (1, 1), (2, -1), (3, -1)], 2, [(0, 3)]),
    ("three, two slots", [(0, 1), (0, 1), (1, 1), (2, -1), (3, -1), (4, -1)], 2, [(0, 4), (1, 2)]),
    (
        "a gap on the second level only",
        [(0, 1), (1, 1), (2, -1), (9, 1), (10, -1), (11, -1)],
        1,
        [(0, 11), (1, 2), (9, 10)],
    ),
]


@pytest.mark.parametrize(("title", "changes", "slots", "expected"), CHANGES, ids=[case[0] for case in CHANGES])
def test_the_oracle_plans_a_pod_per_level(
    title: str, changes: list[tuple[float, int]], slots: int, expected: list[tuple[float, float]]
) -> None:
    assert plan(changes, slots, start_s=2.0) == expected


def test_needs_are_told_per_function() -> None:
    found = needs([Arrival(0, 2, "a"), Arrival(1, 5, "b")], timeout_s=4)
    assert found == {"a": [(0, 1), (2, -1)], "b": [(1, 1), (5, -1)]}


# The production autoscaler


@pytest.mark.parametrize(
    ("burst_capacity", "least_s", "most_s"),
    [
        (211, 7, 14),  # the activator is in the path anyway: no grace is needed
        (0, 37, 45),  # it comes into the path first, and the pod goes after the grace of 30 s
    ],
)
def test_a_service_at_zero_wakes_at_once_and_goes_back_after_window_and_grace(
    burst_capacity: int, least_s: float, most_s: float
) -> None:
    single = app(window="6s", target_burst_capacity=burst_capacity)
    ledger, end_s = run(trace_of((10, 0.5), duration_s=300), "ours", single, start="1s", stop_s=0.5)
    assert list(ledger.waits_s) == pytest.approx([1.01])  # start, and the patch before it
    assert least_s < ledger.pod_s < most_s
    assert end_s == 300


def test_the_minimum_is_there_from_the_beginning() -> None:
    ledger, _ = run(trace_of((10, 0.5), duration_s=60), "ours", app(min_scale=2))
    assert list(ledger.waits_s) == [0]
    assert (ledger.started, ledger.pod_s) == (2, 120)


def test_the_maximum_holds() -> None:
    ledger, _ = run(synthetic("poisson:rate=20,for=60s"), "ours", app(1, max_scale=3))
    assert ledger.peak == 3


def test_steady_load_settles_on_the_pods_that_the_target_says() -> None:
    """20 requests in flight (Little), 5 x 70 % per pod: ceil(20 / 3.5) = 6, and noise of the window."""
    ledger, _ = run(synthetic("poisson:rate=20,for=20m"), "ours", app(target=5))
    settled = ledger.ready.means[300:]
    assert 5.5 < sum(settled) / len(settled) < 7


def test_starting_pods_count_so_a_slow_start_does_not_overshoot() -> None:
    """A crowd at zero, pods that take 20 s: Knative's panic takes the pile for load, ours knows what is on its way."""
    crowd = "flash:base=0.2,peak=15,at=120s,rise=5s,fall=60s,for=10m"
    peaks = {
        policy: run(synthetic(crowd, "exp:2s"), policy, app(8), start="20s")[0].peak for policy in ("knative", "ours")
    }
    assert peaks["ours"] < peaks["knative"]
