"""When may this pod stop listening after SIGTERM?

Gateways and activators watch endpoints and stop sending to a terminating pod within milliseconds, but not all at the
same instant; so a draining pod keeps serving, and every request starts the quiet period anew. With nothing in flight
the period is short (`idle_s`, 1 s); while requests are still running it is Knative's (`quiet_s`, 30 s), after which
listening ends and the engine lets the running ones finish. WebSockets are not waited for before the user container is
told to go: it alone can end them well, and they end the drain. The grace period of the pod bounds it all from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queueproxy.meter import Meter

POLL_S = 0.05
NO_TERM_S = 1.0


def quiet_since(meter: Meter, started: float, *, quiet_s: float, idle_s: float) -> float:
    """Return the moment from which the pod counts as quiet, if nothing more happens (pure)."""
    needed_s = quiet_s if meter.in_flight else min(idle_s, quiet_s)
    return max(started, meter.last_activity) + needed_s


class Drain:
    """The states of the end: serving, draining, drained."""

    def __init__(self, meter: Meter, clock: Callable[[], float], *, quiet_s: float, idle_s: float) -> None:
        self._meter = meter
        self._clock = clock
        self._quiet_s = quiet_s
        self._idle_s = idle_s
        self._started = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """Whether SIGTERM has come: health probes then get 503."""
        return self._started.is_set()

    async def until_quiet(self) -> None:
        """Begin to drain; return when the quiet period has passed."""
        self._started.set()
        started = self._clock()
        while True:
            quiet = quiet_since(self._meter, started, quiet_s=self._quiet_s, idle_s=self._idle_s)
            remaining_s = quiet - self._clock()
            if remaining_s <= 0:
                return
            # The end of the last request shortens the period, so a long one is waited for in short steps.
            await asyncio.sleep(min(remaining_s, POLL_S))

    def finish(self) -> None:
        """Say that the last request has ended, WebSockets apart: the user container may go now."""
        self._drained.set()

    async def wait(self) -> bool:
        """Wait until drained: the user container's preStop hook ends then, and its SIGTERM follows.

        Returns False when no drain began within a second: only the user container is being restarted.
        """
        try:
            async with asyncio.timeout(NO_TERM_S):
                await self._started.wait()
        except TimeoutError:
            return False
        await self._drained.wait()
        return True
