"""Distributions of times as a person writes them: `20s`, `exp:100ms`, `uniform:1s,3s`, `lognormal:20s,40s`.

One parsed value draws seconds from a random generator that the caller seeds; it keeps no state, so the same seed gives
the same draws. It knows neither traces nor pods.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.contracts.durations import parse_duration

Z_99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""

FORMS = "write a duration like 20s, or exp:MEAN, uniform:LOW,HIGH, lognormal:MEDIAN,P99"


@dataclass(frozen=True, slots=True)
class Distribution:
    """`kind` is const, exp, uniform or lognormal; `first_s` and `second_s` are its parameters in seconds."""

    kind: str
    first_s: float
    second_s: float = 0.0

    def draw(self, generator: random.Random) -> float:
        """Return one value in seconds, never negative."""
        if self.kind == "exp":
            return generator.expovariate(1.0) * self.first_s
        if self.kind == "uniform":
            return generator.uniform(self.first_s, self.second_s)
        if self.kind == "lognormal":
            sigma = math.log(self.second_s / self.first_s) / Z_99
            return self.first_s * math.exp(sigma * generator.gauss(0.0, 1.0))
        return self.first_s

    @property
    def mean_s(self) -> float:
        """The mean in seconds."""
        if self.kind == "uniform":
            return (self.first_s + self.second_s) / 2
        if self.kind == "lognormal":
            sigma = math.log(self.second_s / self.first_s) / Z_99
            return self.first_s * math.exp(sigma**2 / 2)
        return self.first_s

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        if self.kind == "const":
            return f"{self.first_s:g}s"
        second = f",{self.second_s:g}s" if self.kind in ("uniform", "lognormal") else ""
        return f"{self.kind}:{self.first_s:g}s{second}"


def parse(text: str) -> Distribution:
    """Return the distribution that `text` describes; raises ValueError that says how to write one."""
    kind, colon, rest = text.partition(":")
    kind, rest = (kind.strip().lower(), rest) if colon else ("const", kind)
    try:
        values = [parse_duration(part) for part in rest.split(",")]
    except ValueError as error:
        raise ValueError(f"{text!r} is not a distribution of times ({error}): {FORMS}") from error
    wanted = {"const": 1, "exp": 1, "uniform": 2, "lognormal": 2}.get(kind)
    if wanted != len(values) or min(values) < 0:
        raise ValueError(f"{text!r} is not a distribution of times: {FORMS}")
    if kind == "lognormal" and not 0 < values[0] <= values[1]:
        raise ValueError(f"{text!r}: a lognormal needs 0 < MEDIAN <= P99")
    if kind == "uniform" and values[1] < values[0]:
        raise ValueError(f"{text!r}: a uniform needs LOW <= HIGH")
    return Distribution(kind, *values)


def by_percentiles(points: Sequence[tuple[float, float]], share: float) -> float:
    """Return the value at `share` (0..1) of a distribution known by (share, value) points, straight lines between.

    The points rise in both; outside of them the nearest counts.
    """
    low_share, low = points[0]
    for high_share, high in points:
        if share <= high_share:
            if high_share <= low_share:
                return high
            return low + (high - low) * (share - low_share) / (high_share - low_share)
        low_share, low = high_share, high
    return low


def generator(seed: int, *purpose: object) -> random.Random:
    """Return a generator of its own for one purpose, so that one more draw here changes nothing there."""
    return random.Random("/".join(str(part) for part in (seed, *purpose)))
