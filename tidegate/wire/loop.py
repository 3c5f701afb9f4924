"""The one place that chooses the event loop: uvloop where it is installed, asyncio otherwise.

Every process starts through `run`; nothing else may name uvloop. Both loops run the engine's test suite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop of this process: `uvloop.new_event_loop`, or asyncio's when uvloop is missing."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop of the chosen kind."""
    return loop_factory()()


def run(main: Coroutine[Any, Any, ResultT], *, debug: bool | None = None) -> ResultT:
    """Run `main` to its end on a fresh loop of the chosen kind."""
    with asyncio.Runner(loop_factory=loop_factory(), debug=debug) as runner:
        return runner.run(main)
