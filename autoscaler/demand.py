"""Reports become load per revision: who reports, what they saw since the last second, and the windows it goes into.

Each source (a queueproxy, or an activator per revision) counts with the mean of what it reported since the last second.
A late report is bridged with the one before, for a short while, so that the jitter of two clocks never shows up as load
that halves and doubles. A queueproxy that is connected and silent has nothing in flight: that is recorded as zero; an
activator that is silent is not asked. Pure: `now` is handed in, sources are opaque identities.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from autoscaler.window import Window
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.autoscaling_annotations import RPS, WEIGHTED_EXPONENTIAL
from tidegate.contracts.report import Report

Key = tuple[str, str]
"""Namespace and name of a revision."""

TICK_S = 1.0
BRIDGE_S = 2.5
RATE_BASE_S = 0.9
"""Arrivals count over this time at least: one request a moment before a report is one per second, not hundreds."""
WAITING_FRESH_S = 5.0
CATCH_UP_LIMIT_S = 10
VALUE_LIMIT = 1e9
INTERVAL_LIMIT_S = 3600.0
INTERVAL_MIN_S = 1e-6
"""A shorter report covers no time: dividing by it would make load out of rounding."""


class Source:
    """What one connection said about one revision since the last second, and its last word."""

    __slots__ = (
        "concurrency",
        "concurrency_seconds",
        "covered_s",
        "in_flight",
        "is_queueproxy",
        "rate",
        "reported_at",
        "requests",
        "sequence",
    )

    def __init__(self, is_queueproxy: bool, now: float) -> None:
        self.is_queueproxy = is_queueproxy
        self.sequence = -1
        # Since the last second.
        self.covered_s = 0.0
        self.concurrency_seconds = 0.0
        self.requests = 0.0
        # The last word, which bridges a late report.
        self.concurrency = 0.0
        self.rate = 0.0
        self.in_flight = 0
        self.reported_at = now

    def take(self, report: Report, now: float) -> None:
        """Add one report. Proxied requests are left out: the activator that sent them counts them."""
        self.sequence, self.in_flight, self.reported_at = report.sequence, report.in_flight, now
        if report.interval_s < INTERVAL_MIN_S:
            # A poke covers no time, but what waits is there: it stands in until the first report that does.
            self.concurrency = max(self.concurrency, float(report.in_flight))
            return
        concurrency = max(0.0, report.concurrency - report.proxied_concurrency)
        requests = max(0, report.requests - report.proxied_requests)
        self.covered_s += report.interval_s
        self.concurrency_seconds += concurrency * report.interval_s
        self.requests += requests
        self.concurrency = concurrency
        self.rate = requests / max(report.interval_s, RATE_BASE_S)

    def settle(self, now: float) -> tuple[float, float] | None:
        """Return (requests in flight, requests per second) since the last second; None for nothing to say."""
        if self.covered_s > 0:
            values = self.concurrency_seconds / self.covered_s, self.requests / max(self.covered_s, RATE_BASE_S)
            self.covered_s = self.concurrency_seconds = self.requests = 0.0
            return values
        if (self.concurrency > 0 or self.rate > 0) and now - self.reported_at < BRIDGE_S:
            return self.concurrency, self.rate
        self.concurrency = self.rate = 0.0
        return (0.0, 0.0) if self.is_queueproxy else None


class RevisionDemand:
    """The sources and windows of one revision."""

    __slots__ = ("is_weighted", "panic", "panic_rps", "sources", "stable", "stable_rps")

    def __init__(self) -> None:
        self.sources: dict[Hashable, Source] = {}
        self.is_weighted = False
        self.stable: Window | None = None
        self.panic: Window | None = None
        self.stable_rps: Window | None = None
        self.panic_rps: Window | None = None

    def configure(self, spec: ScalingSpec) -> None:
        """Give the windows the spec's lengths, keeping what they hold."""
        self.is_weighted = spec.algorithm == WEIGHTED_EXPONENTIAL
        if self.stable is None or self.panic is None or self.stable_rps is None or self.panic_rps is None:
            self.stable, self.stable_rps = Window(spec.stable_window_s), Window(spec.stable_window_s)
            self.panic, self.panic_rps = Window(spec.panic_window_s), Window(spec.panic_window_s)
            return
        for window in (self.stable, self.stable_rps):
            window.resize(spec.stable_window_s)
        for window in (self.panic, self.panic_rps):
            window.resize(spec.panic_window_s)

    def record(self, now: float, seconds: range) -> None:
        """Settle all sources and write their sum into each of `seconds`."""
        said = [values for source in self.sources.values() if (values := source.settle(now)) is not None]
        if not said or self.stable is None or self.panic is None or self.stable_rps is None or self.panic_rps is None:
            return
        concurrency = sum(values[0] for values in said)
        rate = sum(values[1] for values in said)
        for at in seconds:
            self.stable.record(at, concurrency)
            self.panic.record(at, concurrency)
            self.stable_rps.record(at, rate)
            self.panic_rps.record(at, rate)

    def averages(self, metric: str, at: float) -> tuple[float, float] | None:
        """Return the averages over the stable and panic windows; None without data."""
        stable, panic = (self.stable_rps, self.panic_rps) if metric == RPS else (self.stable, self.panic)
        if stable is None or panic is None or stable.is_empty(at):
            return None
        if self.is_weighted:
            return stable.weighted_average(at), panic.weighted_average(at)
        return stable.average(at), panic.average(at)


class Demand:
    """The load of all revisions."""

    def __init__(self) -> None:
        self._revisions: dict[Key, RevisionDemand] = {}
        self._sourced: dict[Key, RevisionDemand] = {}
        self._recorded_at: float | None = None

    def configure(self, key: Key, spec: ScalingSpec) -> None:
        """Watch a revision, or change how."""
        self._revision(key).configure(spec)

    def forget(self, key: Key) -> None:
        """Drop a revision's windows; sources that are still connected stay, in case it comes back."""
        demand = self._revisions.get(key)
        if demand is None:
            return
        demand.stable = demand.panic = demand.stable_rps = demand.panic_rps = None
        self._drop_if_bare(key, demand)

    def open(self, source: Hashable, key: Key, now: float) -> None:
        """A queueproxy of the revision connected."""
        demand = self._sourced[key] = self._revision(key)
        demand.sources[source] = Source(is_queueproxy=True, now=now)

    def report(self, source: Hashable, report: Report, now: float) -> bool:
        """Take a report; False where it is old, repeated or not a possible measurement."""
        key = (report.namespace, report.revision)
        if not is_plausible(report):
            return False
        demand = self._revision(key)
        state = demand.sources.get(source)
        if state is None:
            self._sourced[key] = demand
            state = demand.sources[source] = Source(is_queueproxy=False, now=now)
        if report.sequence <= state.sequence:
            return False
        state.take(report, now)
        return True

    def close(self, source: Hashable, keys: set[Key]) -> None:
        """A connection ended: what it reported on `keys` counts no more."""
        for key in keys:
            demand = self._revisions.get(key)
            if demand is not None and demand.sources.pop(source, None) is not None:
                self._drop_if_bare(key, demand)

    def record(self, now: float) -> None:
        """Write one second of load; call it once a second. Seconds a stalled caller missed get the same mean."""
        second = math.floor(now)
        last = second - 1 if self._recorded_at is None else math.floor(self._recorded_at)
        if second <= last:
            return
        self._recorded_at = now
        seconds = range(max(last + 1, second - CATCH_UP_LIMIT_S + 1), second + 1)
        for key, demand in list(self._sourced.items()):
            demand.record(now, seconds)
            self._drop_silent(key, demand, now)

    def averages(self, key: Key, metric: str, now: float) -> tuple[float, float] | None:
        """Return (stable, panic) averages of the metric; None without data.

        Read as of the last recorded second: the current one is not over, and must not read as missing.
        """
        demand = self._revisions.get(key)
        recorded_at = self._recorded_at
        is_current = recorded_at is not None and now - recorded_at < 1.5 * TICK_S
        return None if demand is None else demand.averages(metric, recorded_at if is_current and recorded_at else now)

    def waiting(self, key: Key, now: float) -> int:
        """Return the requests that activators have of this revision by their last word, if that is recent."""
        demand = self._sourced.get(key)
        if demand is None:
            return 0
        return sum(
            source.in_flight
            for source in demand.sources.values()
            if not source.is_queueproxy and now - source.reported_at < WAITING_FRESH_S
        )

    def is_silent(self, key: Key) -> bool:
        """Whether nobody has anything to say about this revision."""
        return key not in self._sourced

    def _revision(self, key: Key) -> RevisionDemand:
        demand = self._revisions.get(key)
        if demand is None:
            demand = self._revisions[key] = RevisionDemand()
        return demand

    def _drop_silent(self, key: Key, demand: RevisionDemand, now: float) -> None:
        silent = [
            identity
            for identity, source in demand.sources.items()
            if not source.is_queueproxy
            and source.concurrency == 0
            and source.rate == 0
            and (source.in_flight == 0 or now - source.reported_at >= WAITING_FRESH_S)
        ]
        for identity in silent:
            del demand.sources[identity]
        self._drop_if_bare(key, demand)

    def _drop_if_bare(self, key: Key, demand: RevisionDemand) -> None:
        if demand.sources:
            return
        self._sourced.pop(key, None)
        if demand.stable is None:
            self._revisions.pop(key, None)


def is_plausible(report: Report) -> bool:
    """Whether a report can be a measurement: finite, not negative, within bounds."""
    return (
        0 <= report.interval_s <= INTERVAL_LIMIT_S
        and 0 <= report.concurrency <= VALUE_LIMIT
        and 0 <= report.proxied_concurrency <= VALUE_LIMIT
        and 0 <= report.requests <= VALUE_LIMIT
        and 0 <= report.proxied_requests <= VALUE_LIMIT
        and 0 <= report.in_flight <= VALUE_LIMIT
    )
