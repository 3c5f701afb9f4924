"""Time that a test moves on: what would be due later is due now, and nobody waits for it.

For timers that must not fire before something has happened: they are set to a minute, the test waits for the event,
and then the minute is over. So no stall of the machine turns the order round.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from unittest import mock


@contextlib.contextmanager
def moved_clock() -> Iterator[Callable[[float], None]]:
    """Give a function that moves `time.monotonic` on by seconds, and with it the timers of asyncio's own loop.

    To be entered before what is tested starts, for some keep the clock that they find then.
    """
    clock, ahead = time.monotonic, [0.0]

    def move(seconds: float) -> None:
        ahead[0] += seconds

    with mock.patch.object(time, "monotonic", lambda: clock() + ahead[0]):
        yield move
