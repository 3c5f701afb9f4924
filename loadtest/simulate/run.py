"""One trace, one app, one policy: the simulation itself.

Arrivals become requests of the revision of their function; the clock runs until all are answered or refused and the
trace is over; then the pods that are left are accounted for. The same inputs and seed give the same result, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtest import distributions
from loadtest.simulate.app import App
from loadtest.simulate.clock import Clock
from loadtest.simulate.ledger import Ledger
from loadtest.simulate.policies import Chosen, build
from loadtest.simulate.revision import Machinery, Revision
from loadtest.simulate.visit import Visit
from loadtest.traces.arrivals import Arrival, Trace

REVISIONS_MAX = 20_000
PROGRESS_EVERY = 20_000

Progress = Callable[[float, int], None]
"""Called now and then with the simulated second and the requests so far."""


class TooManyRevisions(ValueError):
    """The trace calls more functions than one simulation keeps revisions for."""


@dataclass(frozen=True)
class Scenario:
    """Everything a run depends on, besides the policy."""

    trace: Trace
    app: App
    machinery: Machinery
    seed: int = 1


class World:
    """The revisions of one run under one clock."""

    def __init__(self, scenario: Scenario, chosen: Chosen) -> None:
        self.clock = Clock()
        self.ledger = Ledger()
        self.revisions: dict[str, Revision] = {}
        self._scenario = scenario
        self.policy = build(chosen, scenario.app, self.clock, scenario.trace, scenario.seed)
        self._app = chosen.app_of(scenario.app)

    def revision(self, function: str) -> Revision:
        """Return the revision that serves a function; raises TooManyRevisions."""
        found = self.revisions.get(function)
        if found is None:
            if len(self.revisions) >= REVISIONS_MAX:
                raise TooManyRevisions(f"the trace calls more than {REVISIONS_MAX} functions: choose some (--function)")
            starts = distributions.generator(self._scenario.seed, "starts", function)
            found = self.revisions[function] = Revision(
                function, self._app, self._scenario.machinery, self.clock, self.ledger, self.policy, starts
            )
            self.policy.adopt(found)
        return found

    def send(self, service_s: float, function: str = "", done: Callable[[Visit], None] | None = None) -> None:
        """Let one request arrive now."""
        self.ledger.request_arrived(self.clock.now)
        self.revision(function).arrive(Visit(self.clock.now, service_s, self._app.timeout_s, done))

    def finish(self) -> None:
        """Account for what is still there, and check the laws."""
        for revision in self.revisions.values():
            revision.end()
        self.ledger.finish(self.clock.now)
        self.ledger.check()


class OpenLoop:
    """Sends a trace's arrivals when their time has come; only the next one is planned."""

    def __init__(self, world: World, arrivals: Iterator[Arrival], progress: Progress | None = None) -> None:
        self.is_over = False
        self._world = world
        self._arrivals = arrivals
        self._progress = progress
        first = self._plan()
        if first is not None:
            # A revision is there before its first request; of several functions, the others appear with theirs.
            world.revision(first.function)

    def _plan(self) -> Arrival | None:
        arrival = next(self._arrivals, None)
        self.is_over = arrival is None
        if arrival is not None:
            self._world.clock.at(arrival.at_s, self._send, arrival)
        return arrival

    def _send(self, arrival: Arrival) -> None:
        self._world.send(arrival.service_s, arrival.function)
        arrived = self._world.ledger.arrived
        if self._progress is not None and arrived % PROGRESS_EVERY == 0:
            self._progress(arrival.at_s, arrived)
        self._plan()


def simulate(scenario: Scenario, chosen: Chosen, progress: Progress | None = None) -> tuple[Ledger, float]:
    """Return what was counted, and the second at which the run ended.

    Raises TraceError, TooMany or TooManyRevisions for a trace that cannot be run.
    """
    world = World(scenario, chosen)
    if scenario.trace.duration_s is not None:
        world.clock.at(scenario.trace.duration_s, _nothing)
    source = OpenLoop(world, iter(scenario.trace), progress)
    end_s = scenario.trace.duration_s or 0.0
    world.clock.run(lambda: source.is_over and world.clock.now >= end_s and world.ledger.open == 0)
    world.finish()
    return world.ledger, world.clock.now


def _nothing() -> None:
    """Keep the clock running until the end of a trace that ends in silence."""
