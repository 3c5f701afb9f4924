"""The load of many revisions at once, second by second, as columns: no requests one by one, but their expected numbers.

Rates are spread over orders of magnitude, as in traces of function platforms; each revision is on and off by turns.
Arrivals of a second are Poisson. In flight is the fluid limit of a server without queue: what is there decays by the
service time, what arrives adds to it. While no pod is ready, arrivals wait and nothing decays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RATE_EXPONENTS = (-2.0, 1.0)
"""Requests per second while on: from one in 100 s to ten per second, evenly by order of magnitude."""
SERVICE_EXPONENTS = (-1.5, 0.5)
"""Seconds."""
ON_S, OFF_S = 300.0, 300.0
"""Mean stays."""


@dataclass(frozen=True, slots=True)
class Second:
    """What one second brings, per revision: mean in flight (waiting included), arrivals, and who waits at its end."""

    concurrency: Floats
    arrivals: Floats
    waiting: Floats


class FleetLoad:
    """The load of `revisions` revisions, repeatable by seed."""

    def __init__(self, revisions: int, seed: int) -> None:
        self._draws = np.random.default_rng(seed)
        self._rate = 10 ** self._draws.uniform(*RATE_EXPONENTS, revisions)
        service_s = 10 ** self._draws.uniform(*SERVICE_EXPONENTS, revisions)
        self._is_on = self._draws.random(revisions) < ON_S / (ON_S + OFF_S)
        # Within a second: what stays of the level, and the mean that a level, or an arrival somewhere in it, has.
        self._kept = np.exp(-1.0 / service_s)
        self._level_mean = service_s * (1.0 - self._kept)
        self._arrival_mean = service_s * (1.0 - self._level_mean)
        self._level = np.zeros(revisions)
        self._waiting = np.zeros(revisions)

    def step(self, has_pod: Flags) -> Second:
        """Let a second pass; `has_pod` says whose requests are served."""
        draws = self._draws.random(len(has_pod))
        self._is_on ^= draws < np.where(self._is_on, 1.0 / ON_S, 1.0 / OFF_S)
        arrivals = self._draws.poisson(np.where(self._is_on, self._rate, 0.0)).astype(np.float64)
        # Who waited until now is in flight from the beginning of the second on.
        level = np.where(has_pod, self._level + self._waiting, self._level)
        waiting = np.where(has_pod, 0.0, self._waiting + arrivals)
        served = np.where(has_pod, arrivals, 0.0)
        concurrency = level * self._level_mean + served * self._arrival_mean + waiting
        self._level = level * self._kept + served * self._level_mean
        self._waiting = waiting
        return Second(concurrency, arrivals, waiting)
