"""The last requests that met a revision without a ready pod: what a cold start's reaction time is measured from."""

from __future__ import annotations

from collections import deque
from typing import TypedDict

KEPT = 256


class Wake(TypedDict):
    """One such request; the time is wall-clock, for comparing with events of other processes on the same machine."""

    namespace: str
    revision: str
    arrived_unix_s: float


class Wakes:
    """A ring of the last `KEPT` wakes."""

    def __init__(self) -> None:
        self._ring: deque[Wake] = deque(maxlen=KEPT)
        self.total = 0

    def add(self, namespace: str, revision: str, arrived_unix_s: float) -> None:
        """Note one."""
        self.total += 1
        self._ring.append(Wake(namespace=namespace, revision=revision, arrived_unix_s=arrived_unix_s))

    def recent(self) -> list[Wake]:
        """Return them, newest last."""
        return list(self._ring)
