"""The small worlds in which the pitfalls of this folder are asked for: time that a test moves, and nothing shared.

What is asked of a running cluster is in `world`; nothing here starts one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from activator.backends import Backends
from activator.demand import Demand as ActivatorDemand
from autoscaler.demand import Book, Demand
from tests.specs.worlds import Case, FleetWorld, Moment, ScalarWorld
from tidegate.contracts import report
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Decision
from tidegate.kube.endpoints import Address, Endpoints

KEY = ("default", "hello-00001")
POD, OTHER_POD = ("10.0.0.1", 8012), ("10.0.0.2", 8012)

Step = tuple[int, float | None, int] | tuple[int, float | None, int, int]
"""Until which second, the load of each second until then (None: nobody reports), ready pods, requests that wait."""


def pitfall(number: int, name: str) -> pytest.MarkDecorator:
    """Mark a test as that of a behaviour by its number in `inventory.yaml`."""
    return pytest.mark.upstream("pitfalls", f"{number}: {name}")


def play(
    start: str, *steps: Step, annotations: dict[str, Any] | None = None, **more: Any
) -> list[tuple[Decision, int]]:
    """Return the decision at the end of each step, and the replicas asked of the Deployment by then.

    Turns are taken every two seconds, by both forms of the autoscaler, which must agree. `start` is `new`, `zero`,
    `active N` or `restarted N`; `more` is as in the timelines of tests/specs.
    """
    played = []
    for form in (ScalarWorld, FleetWorld):
        world = form(Case("pitfall", start, "", annotations or {}, **more))
        played.append(_play(world, steps))
    assert [_told(turn) for turn in played[0]] == [_told(turn) for turn in played[1]]
    return played[0]


def _play(world: ScalarWorld | FleetWorld, steps: tuple[Step, ...]) -> list[tuple[Decision, int]]:
    turns, next_second = [], 0
    for until, load, ready, *waiting in steps:
        for second in range(next_second, until + 1):
            world.record(second, load, 0.0)
            if second % 2 == 0 or second == until:
                decision = world.turn(second, Moment(ready, 0, waiting[0] if waiting else 0))
        turns.append((decision, world.scale))
        next_second = until + 1
    return turns


def _told(turn: tuple[Decision, int]) -> tuple[object, ...]:
    made, scale = turn
    return (made.desired, scale, made.because, made.serving_mode, made.activity, made.is_panicking, made.is_applied)


def pods(turns: list[tuple[Decision, int]]) -> list[int]:
    """Return what was asked of the Deployment after each step."""
    return [scale for _, scale in turns]


class Reporters:
    """Queueproxies and activators that report one revision by name, and what the autoscaler makes of it."""

    def __init__(self, **spec: Any) -> None:
        self.demand = Demand()
        self.demand.configure(KEY, ScalingSpec(**spec))
        self.rows: dict[str, int] = {}

    def pod(self, name: str, now: float) -> None:
        """A queueproxy connects."""
        self.rows[name] = self.demand.open(KEY, now)

    def activator(self, name: str, now: float) -> None:
        """An activator begins to speak of the revision."""
        book: Book = {}
        self.rows[name] = self.demand.open_for(book, KEY, now)

    def say(self, name: str, now: float, concurrency: float, **more: Any) -> None:
        """One reports what it saw in the last second."""
        told = {"interval_s": 1.0, **more}
        self.demand.sources.take(self.rows[name], report.Report(*KEY, int(now), concurrency=concurrency, **told), now)

    def averages(self, now: float) -> tuple[float, float] | None:
        """Write the second that ends, and return the averages of both windows."""
        self.demand.record(now)
        return self.demand.averages(KEY, "concurrency", now)


class Told:
    """An activator's demand, with a link that keeps what is sent to the autoscaler."""

    session_s = 1.0

    def __init__(self) -> None:
        self.on_connected: Callable[[Any], None] = lambda _link: None
        self.on_moved: Callable[[], None] = lambda: None
        self.sent: list[report.Report] = []
        self.waiting = 0
        self.clock = asyncio.get_running_loop().time
        self.demand = ActivatorDemand(self, self.clock, lambda _key: self.waiting)  # type: ignore[arg-type]

    def links_for(self, _namespace: str, _revision: str) -> list[Told]:
        return [self]

    def send(self, message: report.Message) -> bool:
        assert isinstance(message, report.Report | report.Reports)
        self.sent += message.reports if isinstance(message, report.Reports) else [message]
        return True


class Pods:
    """An activator's backends over pods that answer `queue` from a moment on."""

    def __init__(self, *, may_hurry: bool = True) -> None:
        self.answers_at: dict[Address, float] = {}
        self.clock = asyncio.get_running_loop().time
        self.backends = Backends(
            on_change=lambda _key: None,
            is_wanted=lambda _key: True,
            may_hurry=lambda _key: may_hurry,
            ask=self._ask,
        )

    async def _ask(self, address: Address) -> bytes | None:
        return b"" if self.clock() >= self.answers_at.get(address, float("inf")) else None

    def kubernetes_says(self, *, ready: tuple[Address, ...] = (), not_ready: tuple[Address, ...] = ()) -> None:
        self.backends.replace(KEY, Endpoints(frozenset(ready), frozenset(not_ready)))

    @property
    def usable(self) -> set[Address]:
        return set(self.backends.usable(KEY))
