"""Arrivals made by rule: `poisson:rate=10,for=10m`, `mmpp:low=1,high=20`, `diurnal:low=1`, `flash:base=1,peak=50`.

All are Poisson processes whose rate changes: never, at random between two values (a Markov-modulated Poisson process),
along a sine over a period, or in one crowd that comes at once and leaves slowly. Rates that change are drawn by
thinning (Lewis and Shedler 1979): candidates at the highest rate, each kept with the chance of its moment's rate.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtest import distributions
from loadtest.distributions import Distribution
from loadtest.traces.arrivals import Arrival, Trace, TraceError
from tidegate.contracts.durations import parse_duration

RATE_MAX = 1e6
ARRIVALS_MAX = 1e8

Rate = Callable[[float], float]

DEFAULTS: dict[str, dict[str, str]] = {
    "poisson": {"rate": "10", "for": "10m"},
    "mmpp": {"low": "1", "high": "20", "stay-low": "60s", "stay-high": "20s", "for": "30m"},
    "diurnal": {"low": "1", "high": "10", "period": "24h", "for": "24h"},
    "flash": {"base": "1", "peak": "50", "at": "5m", "rise": "5s", "fall": "60s", "for": "20m"},
}
_RATES = {"rate", "low", "high", "base", "peak"}


@dataclass(frozen=True)
class Recipe:
    """A parsed description: rates in requests per second, the rest in seconds."""

    kind: str
    values: dict[str, float]

    @property
    def highest(self) -> float:
        """The highest rate that occurs."""
        return max(value for name, value in self.values.items() if name in _RATES)


def is_synthetic(text: str) -> bool:
    """Whether `text` describes arrivals rather than naming a file."""
    return text.partition(":")[0] in DEFAULTS


def parse(text: str) -> Recipe:
    """Return the recipe in `kind:name=value,...`; raises TraceError that lists what the kind knows."""
    kind, _, rest = text.partition(":")
    known = DEFAULTS[kind]
    given = dict(known)
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if name.strip() not in known or not equals:
            raise TraceError(text, f"{part!r} is not one of {', '.join(f'{key}=' for key in known)}")
        given[name.strip()] = value.strip()
    recipe = Recipe(kind, {name: _value(text, name, value) for name, value in given.items()})
    if recipe.highest * recipe.values["for"] > ARRIVALS_MAX:
        raise TraceError(text, f"that is more than {ARRIVALS_MAX:g} arrivals: shorten it or lower the rate")
    return recipe


def trace(text: str, service: Distribution, seed: int) -> Trace:
    """Return the arrivals that `text` describes; raises TraceError."""
    recipe = parse(text)

    def read() -> Iterator[Arrival]:
        generator = distributions.generator(seed, "synthetic", text)
        drawn = distributions.generator(seed, "synthetic", text, "service")
        rate = _rate(recipe, distributions.generator(seed, "synthetic", text, "state"))
        for at_s in _thinned(rate, recipe.highest, recipe.values["for"], generator):
            yield Arrival(at_s, service.draw(drawn))

    return Trace(text, "synthetic", read, recipe.values["for"], (f"service time {service}",))


def _thinned(rate: Rate, highest: float, until_s: float, generator: random.Random) -> Iterator[float]:
    at_s = 0.0
    while highest > 0:
        at_s += generator.expovariate(highest)
        if at_s >= until_s:
            return
        if generator.random() * highest <= rate(at_s):
            yield at_s


def _rate(recipe: Recipe, generator: random.Random) -> Rate:
    """Return the rate at a moment; it is asked for rising moments only."""
    values = recipe.values
    if recipe.kind == "mmpp":
        return _Modulated(values, generator)
    if recipe.kind == "diurnal":
        middle, swing = (values["low"] + values["high"]) / 2, (values["high"] - values["low"]) / 2
        return lambda at_s: middle - swing * math.cos(2 * math.pi * at_s / values["period"])
    if recipe.kind == "flash":
        return lambda at_s: _crowd(values, at_s)
    return lambda _at_s: values["rate"]


def _crowd(values: dict[str, float], at_s: float) -> float:
    """Return the rate of a flash crowd: a straight rise, then an exponential fall by the time constant `fall`."""
    since_s = at_s - values["at"]
    extra = values["peak"] - values["base"]
    if since_s < 0:
        return values["base"]
    if since_s < values["rise"]:
        return values["base"] + extra * since_s / values["rise"]
    return values["base"] + extra * math.exp(-(since_s - values["rise"]) / max(values["fall"], 1e-9))


class _Modulated:
    """Two rates with exponential stays."""

    def __init__(self, values: dict[str, float], generator: random.Random) -> None:
        self._values = values
        self._generator = generator
        self._is_high = False
        self._until_s = generator.expovariate(1.0) * values["stay-low"]

    def __call__(self, at_s: float) -> float:
        while at_s >= self._until_s:
            self._is_high = not self._is_high
            stay_s = self._values["stay-high" if self._is_high else "stay-low"]
            self._until_s += self._generator.expovariate(1.0) * stay_s
        return self._values["high" if self._is_high else "low"]


def _value(text: str, name: str, value: str) -> float:
    try:
        number = float(value) if name in _RATES else parse_duration(value)
    except ValueError as error:
        kind = "requests per second" if name in _RATES else "a duration like 30s"
        raise TraceError(text, f"{name}={value!r}: write {kind}") from error
    lowest_s = 1e-3 if name in ("for", "period", "stay-low", "stay-high") else 0.0
    if not math.isfinite(number) or not lowest_s <= number <= (RATE_MAX if name in _RATES else 366 * 86400.0):
        raise TraceError(text, f"{name}={value} is out of bounds")
    return number
