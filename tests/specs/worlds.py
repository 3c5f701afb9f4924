"""One revision under a virtual clock, in both forms of the decision: what the timelines of this folder play on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from autoscaler import state
from autoscaler.decide import decide
from autoscaler.fleet import Fleet
from autoscaler.prewarm import IdleTimes
from autoscaler.window import Window
from tidegate.contracts import autoscaling, names
from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Activity, Decision, ServingMode

BEGIN = 100_000.0
LONG_S = 50_000.0


@dataclass
class Moment:
    """What is there beside recorded load when a turn is taken."""

    ready: int = 0
    starting: int = 0
    waiting: int = 0


@dataclass
class Case:
    """A timeline's settings, and how they change on the way."""

    name: str
    start: str
    timeline: str
    annotations: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    containerConcurrency: int = 0  # noqa: N815 - as users write it
    reachability: str = "Reachable"
    start_s: float = 0.0
    begins: str = "2026-11-20T00:00:00+00:00"
    idle_minutes: list[float] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)

    def spec(self, second: int) -> ScalingSpec:
        """Return the settings as they are `second` seconds after the beginning."""
        now = {"annotations": dict(self.annotations), "config": dict(self.config), "reachability": self.reachability}
        for change in self.changes:
            if change["at"] <= second:
                now["annotations"] |= change.get("annotations", {})
                now["config"] |= change.get("config", {})
                now["reachability"] = change.get("reachability", now["reachability"])
        annotations = {_key(key): str(value) for key, value in now["annotations"].items() if value is not None}
        return autoscaling.resolve_spec(
            annotations,
            self.containerConcurrency,
            autoscaling.parse_config({key: str(value) for key, value in now["config"].items()}),
            str(now["reachability"]),
            unix_s=datetime.fromisoformat(self.begins).timestamp() + second,
        )

    def memory(self) -> state.Memory:
        """Return what is remembered at the beginning."""
        kind, _, count = self.start.partition(" ")
        pods = int(count or 0)
        match kind:
            case "new":
                return state.fresh(BEGIN)
            case "zero":
                return _settled(Activity.INACTIVE, ServingMode.PROXY, 0)
            case "active":
                return _settled(Activity.ACTIVE, None, pods)
            case "restarted":
                return state.restored(
                    BEGIN,
                    activity=Activity.ACTIVE if pods else Activity.INACTIVE,
                    activity_age_s=LONG_S,
                    is_initialized=True,
                    serving_mode=ServingMode.SERVE if pods > 2 else ServingMode.PROXY,
                )
        raise ValueError(self.start)

    @property
    def scale(self) -> int:
        """Replicas asked for at the beginning."""
        kind, _, count = self.start.partition(" ")
        return self.spec(0).initial_scale if kind == "new" else int(count or 0)

    def idle_times(self) -> IdleTimes:
        """Return the idle times known at the beginning."""
        times = IdleTimes()
        for minutes in self.idle_minutes:
            times.count(minutes * 60)
        return times


class ScalarWorld:
    """The revision as `decide` sees it."""

    def __init__(self, case: Case) -> None:
        self.case, self.spec, self.memory, self.scale = case, case.spec(0), case.memory(), case.scale
        self.times = case.idle_times()
        self.windows: dict[str, tuple[Window, Window]] = {}
        self._refit()

    def record(self, second: int, load: float | None, other: float) -> None:
        if load is None:
            return
        for metric, windows in self.windows.items():
            for window in windows:
                window.record(BEGIN + second, load if metric == self.spec.metric else other)

    def turn(self, second: int, moment: Moment) -> Decision:
        now, self.spec = BEGIN + second, self.case.spec(second)
        self._refit()
        stable, panic = self._averages(self.spec.metric, now)
        other_stable, other_panic = self._averages(self.spec.other_metric, now)
        if self.spec.is_prewarmed:
            loaded = moment.waiting > 0 or any((value or 0) > 0 for value in (panic, other_panic))
            self.times.see(now, is_loaded=loaded)
        seen = state.Observation(
            stable_value=stable,
            panic_value=panic,
            other_stable_value=other_stable,
            other_panic_value=other_panic,
            ready_pods=moment.ready,
            not_ready_pods=max(moment.starting, self.scale - moment.ready),
            starting_pods=moment.starting,
            start_s=self.case.start_s,
            waiting=moment.waiting,
            current_scale=self.scale,
            prewarm_pods=int(self.spec.is_prewarmed and self.times.wants_pod(now)),
        )
        decision, self.memory = decide(self.spec, seen, self.memory, now)
        if decision.is_applied and decision.desired >= 0:
            self.scale = decision.desired
        return decision

    def _refit(self) -> None:
        for metric in (self.spec.metric, self.spec.other_metric):
            if metric and metric not in self.windows:
                self.windows[metric] = Window(self.spec.stable_window_s), Window(self.spec.panic_window_s)
        for stable, panic in self.windows.values():
            stable.resize(self.spec.stable_window_s)
            panic.resize(self.spec.panic_window_s)

    def _averages(self, metric: str, now: float) -> tuple[float | None, float | None]:
        if not metric or self.windows[metric][0].is_empty(now):
            return None, None
        stable, panic = self.windows[metric]
        if self.spec.algorithm == keys.WEIGHTED_EXPONENTIAL:
            return stable.weighted_average(now), panic.weighted_average(now)
        return stable.average(now), panic.average(now)


class FleetWorld:
    """The revision as one of a fleet."""

    def __init__(self, case: Case) -> None:
        self.case, self.scale, self.fleet = case, case.scale, Fleet()
        self.spec = case.spec(0)
        self.fleet.add(0, self.spec, case.memory())
        if 0 in self.fleet.idle_times:
            self.fleet.idle_times[0] = case.idle_times()

    def record(self, second: int, load: float | None, other: float) -> None:
        if load is None:
            return
        is_rps = self.spec.metric == keys.RPS
        concurrency, rps = (other, load) if is_rps else (load, other)
        self.fleet.record(int(BEGIN) + second, np.array([concurrency]), np.array([rps]), np.array([True]))

    def turn(self, second: int, moment: Moment) -> Decision:
        self.spec = self.case.spec(second)
        if self.spec != self.fleet.spec(0):
            self.fleet.configure(0, self.spec)
        self.fleet.see(
            0,
            ready_pods=moment.ready,
            not_ready_pods=max(moment.starting, self.scale - moment.ready),
            starting_pods=moment.starting,
            start_s=self.case.start_s,
            current_scale=self.scale,
        )
        waiting, heard = np.array([moment.waiting]), np.zeros(1, np.bool_)
        [made] = self.fleet.turn(BEGIN + second, int(BEGIN) + second, waiting, heard)
        decision = made.decision(0)
        if decision.is_applied and decision.desired >= 0:
            self.scale = decision.desired
        return decision


def _key(key: str) -> str:
    return key if "/" in key else names.AUTOSCALING + key


def _settled(activity: Activity, mode: ServingMode | None, wanted: int) -> state.Memory:
    return state.Memory(
        began_at=BEGIN - LONG_S,
        wanted=wanted,
        activity=activity,
        activity_since=BEGIN - LONG_S,
        is_initialized=True,
        serving_mode=mode,
        proxy_since=BEGIN - LONG_S if mode is ServingMode.PROXY else None,
    )
