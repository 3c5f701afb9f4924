"""Virtual time: events happen in order of their time, and those of one moment in the order in which they were planned.

It is the only clock of a simulation; nothing here waits for anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

EVENTS_MAX = 500_000_000
"""A bound on what one run may do: beyond it something plans events for ever."""

Entry = list[Any]
"""A planned event: time, order, what to call, with what. Callers keep it only to cancel it."""


class Clock:
    """Seconds since the trace began; `now` moves only forward."""

    __slots__ = ("_entries", "events", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._entries: list[Entry] = []

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> Entry:
        """Plan a call; one whose time has passed happens now."""
        self.events += 1
        entry: Entry = [max(when, self.now), self.events, call, arguments]
        heapq.heappush(self._entries, entry)
        return entry

    def after(self, delay_s: float, call: Callable[..., None], *arguments: Any) -> Entry:
        """Plan a call `delay_s` from now."""
        return self.at(self.now + delay_s, call, *arguments)

    @staticmethod
    def cancel(entry: Entry) -> None:
        """Let a planned event not happen."""
        entry[2] = None

    def run(self, until: Callable[[], bool]) -> None:
        """Let events happen until `until()` holds or none is left."""
        entries = self._entries
        while entries and not until():
            when, _, call, arguments = heapq.heappop(entries)
            if call is None:
                continue
            assert self.events < EVENTS_MAX, "a simulation without end"
            self.now = when
            call(*arguments)
