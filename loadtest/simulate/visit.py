"""One request on its way through gateway, activator and pod: what each of them must give back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from loadtest.simulate.clock import Entry
from tidegate.wire.balance import Balancer

if TYPE_CHECKING:
    from loadtest.simulate.pods import Pod


class Place(enum.Enum):
    """Where a request is."""

    OUTSIDE = "outside"
    ROOM = "waiting room"
    QUEUE = "queueproxy's queue"
    APP = "app"
    GONE = "gone"


class Visit:
    """A request: arrival and deadline on the virtual clock, seconds of work. `done` is called when it has left."""

    __slots__ = (
        "arrived",
        "began",
        "deadline",
        "done",
        "ending",
        "ends_at",
        "group",
        "is_proxied",
        "is_running",
        "place",
        "pod",
        "service_s",
        "ticket",
    )

    def __init__(
        self, arrived: float, service_s: float, timeout_s: float, done: Callable[[Visit], None] | None = None
    ) -> None:
        self.arrived = arrived
        self.service_s = service_s
        self.deadline = arrived + timeout_s
        self.done = done
        self.place = Place.OUTSIDE
        self.is_proxied = False
        # Gateway and activator
        self.group: Balancer | None = None
        self.ticket = 0
        # Pod
        self.pod: Pod | None = None
        self.began = 0.0
        self.ending: Entry | None = None
        self.ends_at = 0.0
        self.is_running = False
