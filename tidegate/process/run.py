"""How every process starts and ends: the loop, the signals, one orderly way out.

`run` gives the component's main coroutine a `stopping` event, set by SIGTERM or SIGINT; the component then drains in
its own order. A second signal ends the process at once. uvloop is used when it is installed.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

from tidegate.process import settings

try:  # here, not when it is needed: processes that are forked from a template share it
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_CANNOT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})

SETTLE_PAUSE_S, SETTLE_TRIES = 5.0, 12

Main = Callable[[asyncio.Event], Awaitable[None]]


def run(main: Main) -> None:
    """Run `main(stopping)` to its end; exits 1 with one line on standard error for a `SettingsError` or when an address
    cannot be listened on."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_with_signals(main))
    except settings.SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN:
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def freeze_start_up() -> None:
    """Move everything allocated so far out of the garbage collector's sight: call once, when start-up is over.

    Modules and compiled tables never die; scanning them costs milliseconds at random moments of the data path.
    """
    gc.collect()
    gc.freeze()


async def settle_start_up(is_busy: Callable[[], bool], *, is_forked: bool) -> None:
    """Like `freeze_start_up`, for processes whose first request waits for them already.

    To look through the objects of a large library takes 70 to 250 ms. So they are frozen as they are, garbage too, and
    looked through in the first moment that finds nobody inside, a minute later at the latest. A process forked from a
    template (`is_forked`) has little of its own to look through, and must not touch what it shares: it does it at once.
    """
    # Not by gc.get_freeze_count: it walks through all that is frozen, which takes 30 ms and more.
    if is_forked:
        freeze_start_up()
        return
    gc.freeze()
    for _ in range(SETTLE_TRIES):
        await asyncio.sleep(SETTLE_PAUSE_S)
        if not is_busy():
            break
    gc.unfreeze()
    freeze_start_up()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes an event loop: uvloop's where it is installed."""
    return asyncio.new_event_loop if uvloop is None else uvloop.new_event_loop


async def _with_signals(main: Main) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            log.warning("second %s: ending at once", number.name)
            raise SystemExit(128 + number)
        log.info("%s: stopping", number.name)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await main(stopping)
