"""The command line's options as one value, and the scenario that they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest import distributions
from loadtest.simulate import app as apps
from loadtest.simulate import policies, pricing
from loadtest.simulate.app import App
from loadtest.simulate.policies import Chosen
from loadtest.simulate.pricing import Prices
from loadtest.simulate.revision import Machinery
from loadtest.simulate.run import Scenario
from loadtest.traces import arrivals
from loadtest.traces.arrivals import Trace
from loadtest.traces.azure_llm import TokenRates
from loadtest.traces.opening import Reading, open_trace
from tidegate.contracts.autoscaling import DEFAULTS
from tidegate.contracts.durations import parse_duration


@dataclass(frozen=True)
class Options:
    """What was asked for, as typed; parsed on use, so that a complaint names the option's value."""

    trace: str
    app: Path | None = None
    policy: tuple[str, ...] = ()
    config: Path | None = None
    start: str = "1s"
    stop: str = "1s"
    service: str = "exp:100ms"
    cores: float = 0.0
    prefill_rate: float = 8000.0
    decode_rate: float = 40.0
    durations: Path | None = None
    function: tuple[str, ...] = ()
    functions: int = 1000
    merge: bool = False
    begin: str = "0s"
    until: str = ""
    price: str = ""
    pod_hour: float | None = None
    began: str = ""
    seed: int = 1

    @classmethod
    def of(cls, given: dict[str, Any]) -> Options:
        """Return the options among a command's parameters."""
        return cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})

    def scenario(self) -> Scenario:
        """Return the scenario; raises TraceError, AppError or ValueError that name what is wrong."""
        machinery = Machinery(
            distributions.parse(self.start), stop_s=parse_duration(self.stop), cores=max(0.0, self.cores)
        )
        return Scenario(self.arrivals(), self.load_app(), machinery, self.seed)

    def arrivals(self) -> Trace:
        """Return the trace with functions and times chosen."""
        how = Reading(
            seed=self.seed,
            rates=TokenRates(self.prefill_rate, self.decode_rate),
            service=distributions.parse(self.service),
            durations=self.durations,
            functions_max=self.functions,
        )
        trace = open_trace(self.trace, how)
        if self.began:
            trace = replace(trace, began_unix_s=_unix_s(self.began))
        if self.function:
            trace = arrivals.only(trace, self.function)
        if self.merge:
            trace = arrivals.merged(trace)
        begin_s, until_s = parse_duration(self.begin), parse_duration(self.until) if self.until else math.inf
        return trace if not begin_s and until_s == math.inf else arrivals.between(trace, begin_s, until_s)

    def load_app(self) -> App:
        """Return the app of the YAML, or one without annotations."""
        config = apps.load_config(self.config) if self.config else DEFAULTS
        return apps.load(self.app, config) if self.app else App(config=config)

    def prices(self, app: App) -> Prices:
        """Return the table of prices; a price per pod-hour overrides it."""
        prices = pricing.choose(self.price, app)
        if self.pod_hour is None:
            return prices
        # One CPU stands for the pod, whatever the pod asks for.
        plain = replace(prices, per_gib_hour=0.0, per_gpu_hour=0.0, per_cpu_hour=self.pod_hour / (app.cpu or 1.0))
        return replace(plain, name=f"{self.pod_hour:g} per pod-hour")

    def chosen(self) -> list[Chosen]:
        """Return the policies to compare: all four unless some are named."""
        return [policies.parse(text) for text in self.policy or policies.NAMES]


def _unix_s(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--began {text!r}: write a time like 2026-01-05T08:00:00+01:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
