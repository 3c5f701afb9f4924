"""One version of one model, in memory or not, and the name it belongs to: the records of the repository."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from runtimes.failures import InferenceError
from runtimes.isolation.restarts import Restarts
from runtimes.repository.layout import ModelFolder
from runtimes.repository.versions import Labels
from runtimes.servable import Servable


class State(enum.StrEnum):
    """Where a version is between disk and memory."""

    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"


class Control(enum.StrEnum):
    """Who decides what is in memory: everything at start, the repository API, or the requests."""

    ALL = "all"
    EXPLICIT = "explicit"
    ON_DEMAND = "on-demand"


class NotResident(InferenceError):
    """The version is known and not in memory: `Repository.acquire` would load it."""


@dataclass(slots=True)
class Slot:
    """One version of one model, in memory or not. `size_bytes` is measured by its first load, estimated before."""

    model: str
    version: str
    state: State = State.UNAVAILABLE
    reason: str = ""
    servable: Servable | None = None
    size_bytes: float = 0.0
    loaded_at: float = 0.0
    last_used: float = 0.0
    retry_at: float = -math.inf
    restarts: Restarts = field(default_factory=Restarts)
    is_measured: bool = False
    is_draining: bool = False
    is_pinned: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What the swap plan knows it by."""
        return self.model, self.version

    def begin_unloading(self) -> None:
        """Take the version out of `find`; a handler that has its servable and has not begun asks anew."""
        self.state = State.UNLOADING
        if self.servable is not None:
            self.servable.is_leaving = True


@dataclass(slots=True)
class Entry:
    """One model name. `folder` is None for a model that was given as an object."""

    name: str
    slots: dict[str, Slot] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)
    folder: ModelFolder | None = None
    is_wanted: bool = True
