"""The standard input of a container that asks for one (`stdin: true`): a pipe that the node holds for who attaches."""

from __future__ import annotations

import asyncio
import contextlib
import os

WRITE_TIMEOUT_S = 60.0


class StandardInput:
    """The pipe; `reader` is for the container and closed by who hands it over."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._writer, False)
        # The event loop knows one waiter for a descriptor: clients take turns.
        self._turn = asyncio.Lock()
        self._writable = asyncio.Event()

    @property
    def is_waited_for(self) -> bool:
        """Whether a client is writing."""
        return self._turn.locked()

    async def feed(self, content: bytes) -> None:
        """Write all of it; nothing happens after the end, TimeoutError when nobody reads for `WRITE_TIMEOUT_S`."""
        async with self._turn:
            while content and self._writer >= 0:
                try:
                    content = content[os.write(self._writer, content) :]
                except BlockingIOError:
                    await self._until_writable()
                except BrokenPipeError:
                    return

    async def _until_writable(self) -> None:
        loop, descriptor = asyncio.get_running_loop(), self._writer
        self._writable.clear()
        loop.add_writer(descriptor, self._writable.set)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writable.wait()
        finally:
            if self._writer == descriptor:
                loop.remove_writer(descriptor)

    def close(self) -> None:
        """End it."""
        if self._writer < 0:
            return
        descriptor, self._writer = self._writer, -1
        self._writable.set()
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_writer(descriptor)
        os.close(descriptor)
