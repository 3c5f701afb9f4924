"""One file from a source into a partial file: resumed where it broke off, tried again until a deadline, checked.

A partial file belongs to one version of its entry, written beside it; of an entry without a version it is worth
nothing. The file is whole when it has the size that was announced and, where one was demanded, the digest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TypeVar

from runtimes.storage.archive import sha256_of
from runtimes.storage.listing import Entry
from runtimes.storage.remotes import Final, Remote, StoreError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 10.0

OnBytes = Callable[[int], None]
T = TypeVar("T")


async def download(remote: Remote, entry: Entry, partial: Path, deadline: float, on_bytes: OnBytes) -> str:
    """Fetch `entry` into `partial` and return its SHA-256 in hex.

    Tries again until `deadline` (monotonic seconds); raises `Final`, or the last `StoreError` when time is up.
    `on_bytes` is told of every piece, in bytes.
    """
    await patiently(lambda: _attempt(remote, entry, partial, on_bytes), deadline, entry.path)
    return await asyncio.to_thread(sha256_of, partial)


async def patiently(attempt: Callable[[], Awaitable[T]], deadline: float, name: str) -> T:
    """Call `attempt` until it succeeds, with growing pauses; raises `Final` at once, `StoreError` when time is up."""
    pause_s = FIRST_PAUSE_S
    last: StoreError | None = None
    while True:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await attempt()
        except Final:
            raise
        except TimeoutError as error:
            # What went wrong before says more than that time was up during one more try.
            raise last or StoreError(f"{name}: no answer in time") from error
        except StoreError as error:
            last = error
            wait_s = pause_s * random.uniform(0.5, 1.5)
            if time.monotonic() + wait_s >= deadline:
                raise
            log.warning("%s; again in %.1f s", error, wait_s)
            await asyncio.sleep(wait_s)
            pause_s = min(LAST_PAUSE_S, pause_s * 2)


async def _attempt(remote: Remote, entry: Entry, partial: Path, on_bytes: OnBytes) -> None:
    offset = _usable(entry, partial)
    if offset and offset == entry.size:
        return
    with _opened(entry, partial, offset) as file:
        is_first = True
        async for position, chunk in remote.read(entry, offset):
            if is_first:
                # The source may have started anew, for instance because the file is another one now.
                file.seek(position)
                file.truncate()
                is_first = False
            file.write(chunk)
            on_bytes(len(chunk))
        size = file.tell()
        if entry.size >= 0 and size != entry.size:
            if size > entry.size:
                file.truncate(0)
            raise StoreError(f"{entry.path}: {size} bytes came, {entry.size} were announced")


def _opened(entry: Entry, partial: Path, offset: int) -> IO[bytes]:
    partial.with_name(f"{partial.name}.version").write_text(entry.version)
    return open(partial, "r+b" if offset else "wb")


def _usable(entry: Entry, partial: Path) -> int:
    """Return how many bytes of an earlier download can be kept."""
    if not entry.version:
        return 0
    with contextlib.suppress(OSError):
        if partial.with_name(f"{partial.name}.version").read_text() == entry.version:
            size = partial.stat().st_size
            return size if entry.size < 0 or size <= entry.size else 0
    return 0
