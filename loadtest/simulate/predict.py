"""Pods over time for a timeline of connections, as `hey` makes it: what the live cluster is compared with.

A connection sends its next request when the answer to the last one is there, so the load in flight is the number of
connections whatever a request takes. `within` says where a measurement leaves the prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.distributions import Distribution
from loadtest.simulate import policies
from loadtest.simulate.app import App
from loadtest.simulate.pods import PodState
from loadtest.simulate.revision import Machinery
from loadtest.simulate.run import Scenario, World
from loadtest.simulate.visit import Visit
from loadtest.traces.arrivals import Arrival, Trace

SAMPLE_S = 0.25
TICK_S = 2.0
"""The autoscaler decides this often."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many connections for so long."""

    connections: int
    for_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Ready pods at a moment, in seconds since the first step began."""

    at_s: float
    ready: int


@dataclass(frozen=True, slots=True)
class Client:
    """What a request takes in the app, and what it and its connection take beside that, in seconds."""

    service_s: float = 0.1
    pause_s: float = 0.005


class ClosedLoop:
    """Connections that come and go by the steps of a timeline."""

    def __init__(self, world: World, timeline: Sequence[Step], client: Client) -> None:
        self._world = world
        self._client = client
        at_s = 0.0
        for step in timeline:
            for _ in range(step.connections):
                world.clock.at(at_s, self._send, at_s + step.for_s)
            at_s += step.for_s

    def _send(self, until_s: float) -> None:
        if self._world.clock.now < until_s:
            self._world.send(self._client.service_s, done=lambda _visit: self._answered(_visit, until_s))

    def _answered(self, _visit: Visit, until_s: float) -> None:
        self._world.clock.after(self._client.pause_s, self._send, until_s)


def predict(
    timeline: Sequence[Step],
    app: App,
    *,
    start: Distribution,
    client: Client | None = None,
    seed: int = 1,
) -> list[Sample]:
    """Return the ready pods every quarter of a second while the timeline lasts; it finds the service at zero.

    The last step may have no connections: the way down to zero.
    """
    scenario = Scenario(Trace("timeline", "timeline", _nothing), app, Machinery(start), seed)
    world = World(scenario, policies.parse(policies.OURS))
    revision = world.revision("")
    ClosedLoop(world, timeline, client or Client())
    end_s = sum(step.for_s for step in timeline)
    samples: list[Sample] = []

    def sample() -> None:
        samples.append(Sample(world.clock.now, revision.count(PodState.READY)))
        if world.clock.now < end_s:
            world.clock.after(SAMPLE_S, sample)

    sample()
    world.clock.run(lambda: world.clock.now >= end_s)
    return samples


def outside(
    measured: Sequence[Sample], predicted: Sequence[Sample], *, pods: int = 1, ticks: float = 2.0
) -> list[Sample]:
    """Return the samples of `measured` that no prediction within `ticks` ticks is within `pods` pods of."""
    slack_s = ticks * TICK_S
    found = []
    for sample in measured:
        near = [one.ready for one in predicted if abs(one.at_s - sample.at_s) <= slack_s]
        if near and not min(near) - pods <= sample.ready <= max(near) + pods:
            found.append(sample)
    return found


def _nothing() -> Iterator[Arrival]:
    return iter(())
