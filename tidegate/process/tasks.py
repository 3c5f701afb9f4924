"""Background tasks that are named, kept and never die silently.

asyncio keeps only weak references to tasks and hides the exceptions of those nobody awaits; every task of Tidegate is
started here instead. A crash is logged with the task's name; a component that cannot live without a task awaits it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_kept: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Start `coroutine` as a task called `name`; keep it until it ends and log its crash."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _kept.add(task)
    task.add_done_callback(_ended)
    return task


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel the tasks and wait until they have ended; their results and errors are dropped."""
    living = [task for task in tasks if task is not None and not task.done()]
    for task in living:
        task.cancel()
    if living:
        await asyncio.gather(*living, return_exceptions=True)


def _ended(task: asyncio.Task[Any]) -> None:
    _kept.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.error("task %s crashed: %r", task.get_name(), error, exc_info=error)
