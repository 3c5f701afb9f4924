"""How this process came up: from its begin (fork or exec) until it took connections, by phase, on its own clock.

A phase is entered where its work begins and lasts until the next one; together they are all of the time there was.
Once the program is open nothing counts any more. Linux only: a plain start's begin is read from /proc, to a hundredth
of a second; a program forked from a template finds its begin in what that left in it, the module `forked_child`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tidegate.contracts.wake import FORKED, IMPORTS, OWN_PHASES, PLAIN, PROCESS, Start

FORKED_CHILD = "forked_child"
"""The module that a template's child keeps; its `started` is (pid, when it was forked, when its program ran)."""
_IMPORTED_AT = time.monotonic()


class StartClock:
    """The phases of one start. `began` and `ran`: when the process began and its program's first line ran, in seconds
    of `clock`."""

    def __init__(self, began: float, ran: float, way: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = began
        self._way = way
        self._took_s = dict.fromkeys(OWN_PHASES, 0.0) | {PROCESS: max(0.0, ran - began)}
        self._phase = IMPORTS
        self._since = max(ran, began)
        self._opened_at: float | None = None

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from a template that had imports done."""
        return self._way == FORKED

    def enter(self, phase: str) -> None:
        """Count the time from now on to this phase."""
        if self._opened_at is None:
            now = self._clock()
            self._took_s[self._phase] += now - self._since
            self._phase, self._since = phase, now

    @contextlib.contextmanager
    def phase(self, phase: str) -> Iterator[None]:
        """Count what happens inside to this phase, and then go on with the one before."""
        before = self._phase
        self.enter(phase)
        try:
            yield
        finally:
            self.enter(before)

    def opened(self) -> None:
        """Connections are taken from now on: the start is over."""
        self.enter(self._phase)
        if self._opened_at is None:
            self._opened_at = self._since

    def told(self) -> Start | None:
        """Return the start as it is told; None before it is over."""
        if self._opened_at is None:
            return None
        own_s = tuple(self._took_s[phase] for phase in OWN_PHASES)
        return Start(self._clock() - self._opened_at, self._opened_at - self._began, own_s, self._way)


def began() -> tuple[float, float, str]:
    """Return when this process began and when its program ran, in monotonic seconds, and `forked` or `plain`."""
    note = getattr(sys.modules.get(FORKED_CHILD), "started", None)
    if note is not None and note[0] == os.getpid():  # else it is that of the process that forked this one
        return note[1], note[2], FORKED
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    at = time.monotonic() - max(0.0, age_s)
    return at, max(at, _IMPORTED_AT), PLAIN


_this: StartClock | None = None


def this() -> StartClock:
    """Return the clock of this process, made when it is first asked for."""
    global _this  # noqa: PLW0603 - there is one process
    if _this is None:
        _this = StartClock(*began())
    return _this


def forget() -> None:
    """Drop the clock, where a start was only rehearsed: a process forked from this one has a clock of its own."""
    global _this  # noqa: PLW0603 - there is one process
    _this = None
