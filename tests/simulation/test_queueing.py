"""The simulated data path against queueing theory: what is known exactly must come out, within confidence bounds.

A fixed number of pods that take one request each, behind the activator's one queue, is M/M/c. One pod with c slots and
queueproxy's queue is M/M/c too. Requests that share one core are M/G/1 with processor sharing, whose mean does not
depend on the distribution of work. Means are judged by batches: 99.9 % bounds of Student's t around the batch means, so
that a test fails by chance once in a thousand seeds; the seeds are fixed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest

from tests.support.simulations import app, area, run, synthetic

BATCHES = 20
T_999 = 3.883
"""Student's t for a two-sided 99.9 % bound with 19 degrees of freedom."""


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return the 99.9 % confidence bounds of the mean; the first batch is left out as warm-up."""
    size = len(values) // (BATCHES + 1)
    means = [statistics.fmean(values[number * size : (number + 1) * size]) for number in range(1, BATCHES + 1)]
    half = T_999 * statistics.stdev(means) / math.sqrt(BATCHES)
    return statistics.fmean(means) - half, statistics.fmean(means) + half


def erlang_c(servers: int, load: float) -> float:
    """Return the chance that an arrival has to wait in M/M/c with `load` Erlangs."""
    head = sum(load**count / math.factorial(count) for count in range(servers))
    tail = load**servers / math.factorial(servers) * servers / (servers - load)
    return tail / (head + tail)


MMC = [(1, 0.5), (1, 0.8), (2, 0.7), (5, 0.8), (20, 0.9)]


@pytest.mark.parametrize(("servers", "share"), MMC)
def test_waits_of_pods_with_one_slot_are_those_of_mmc(servers: int, share: float) -> None:
    load = servers * share
    ledger, _ = run(synthetic(f"poisson:rate={load},for={30_000 / load:.0f}s"), f"fixed={servers}", app(1))
    expected = erlang_c(servers, load) / (servers - load)
    low, high = bounds(ledger.waits_s)
    assert low <= expected <= high
    waited = [float(wait_s > 0) for wait_s in ledger.waits_s]
    low, high = bounds(waited)
    assert low <= erlang_c(servers, load) <= high


@pytest.mark.parametrize(("slots", "share"), [(1, 0.7), (4, 0.8)])
def test_waits_in_queueproxys_queue_are_those_of_mmc(slots: int, share: float) -> None:
    """One pod in mode Serve: the gateway's limit equals the pod's, so what is above it waits in the activator's room
    and comes to a free slot in order of arrival; the two queues together are one."""
    load = slots * share
    fixed = app(slots, min_scale=1, max_scale=1, target_burst_capacity=0)
    ledger, _ = run(synthetic(f"poisson:rate={10 * load},for={3_000 / load:.0f}s", "exp:100ms"), "ours", fixed)
    expected = 0.1 * erlang_c(slots, load) / (slots - load)
    low, high = bounds(ledger.waits_s)
    assert low <= expected <= high


@pytest.mark.parametrize(
    ("service", "mean_s"), [("exp:1s", 1.0), ("1s", 1.0), ("uniform:0s,2s", 1.0)], ids=["M", "D", "U"]
)
def test_requests_that_share_a_core_take_as_long_as_processor_sharing_says(service: str, mean_s: float) -> None:
    share = 0.6
    trace = synthetic(f"poisson:rate={share},for={20_000 / share:.0f}s", service)
    ledger, _ = run(trace, "fixed=1", app(100, timeout_s=1e6), cores=1.0)
    low, high = bounds(ledger.latencies_s)
    assert low <= mean_s / (1 - share) <= high


def test_requests_that_share_several_cores_slow_down_only_beyond_them() -> None:
    """M/M/c with processor sharing has the number in system of M/M/c, so by Little's law the same mean time."""
    cores, share = 4, 0.8
    load = cores * share
    trace = synthetic(f"poisson:rate={load},for={30_000 / load:.0f}s")
    ledger, _ = run(trace, "fixed=1", app(1000, timeout_s=1e6), cores=float(cores))
    low, high = bounds(ledger.latencies_s)
    assert low <= 1 + erlang_c(cores, load) / (cores - load) <= high


def test_littles_law_holds_exactly() -> None:
    """The integral of requests in flight is the sum of their times, whatever the policy does."""
    for policy in ("ours", "knative", "keep-alive", "oracle", "fixed=3"):
        ledger, end_s = run(synthetic("mmpp:for=300s"), policy, app(2))
        in_flight = ledger.in_flight
        assert area(in_flight.means, in_flight.width_s, end_s) == pytest.approx(math.fsum(ledger.latencies_s)), policy
        # The wait in the activator is one part of it, so its integral cannot be larger.
        waiting = ledger.waiting
        assert area(waiting.means, waiting.width_s, end_s) <= math.fsum(ledger.waits_s) + 1e-6, policy
