"""Small scenarios for the tests of the simulator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loadtest import distributions
from loadtest.simulate import policies
from loadtest.simulate.app import App
from loadtest.simulate.ledger import Ledger
from loadtest.simulate.revision import Machinery
from loadtest.simulate.run import Scenario, simulate
from loadtest.traces.arrivals import Arrival, Trace
from loadtest.traces.opening import Reading, open_trace

PREFIX = "autoscaling.knative.dev/"


def app(concurrency: int = 0, *, timeout_s: float = 300.0, **annotations: Any) -> App:
    """Return an app; annotations with `_` for `-` and without their prefix."""
    known = {PREFIX + name.replace("_", "-"): str(value) for name, value in annotations.items()}
    return App(annotations=known, container_concurrency=concurrency, timeout_s=timeout_s)


def trace_of(*arrivals: tuple[float, float], duration_s: float | None = None) -> Trace:
    """Return a trace of (second, service time) pairs."""
    found = [Arrival(at_s, service_s) for at_s, service_s in arrivals]
    return Trace("test", "test", lambda: iter(found), duration_s)


def synthetic(text: str, service: str = "exp:1s", seed: int = 1) -> Trace:
    """Return synthetic arrivals."""
    return open_trace(text, Reading(seed=seed, service=distributions.parse(service)))


def run(
    trace: Trace,
    policy: str,
    app_: App | None = None,
    *,
    start: str = "1s",
    seed: int = 1,
    **machinery: Any,
) -> tuple[Ledger, float]:
    """Simulate; returns the ledger and the second at which it ended."""
    how = Machinery(distributions.parse(start), **machinery)
    return simulate(Scenario(trace, app_ or app(), how, seed), policies.parse(policy))


def area(means: Iterable[float], width_s: float, end_s: float) -> float:
    """Return the integral of a track over a run: its bins are full but for the last."""
    values = list(means)
    full = sum(values[:-1]) * width_s
    return full + values[-1] * (end_s - (len(values) - 1) * width_s)
