"""The server's end of the zygote: starts it, asks it for workers, hears of their ends.

`fork_zygote` is for a process that has no thread yet: the zygote then has its imports, and shares their pages. Anywhere
else it is started as a program. A zygote that ended takes its workers along; the next worker has a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from runtimes.isolation import frames, zygote
from runtimes.isolation.frames import Ended, Fork, Forked

log = logging.getLogger(__name__)
Tell = Callable[[int], None]
FORK_LIMIT_S = 60.0
"""Covers the import of a framework."""
_PROGRAM = "import sys; sys.path[:] = {path!r}; from runtimes.isolation import zygote; zygote.main()"


class CannotFork(Exception):
    """No worker could be made; the message says why."""


class Handle(NamedTuple):
    """A zygote: our end of its socket, and its process."""

    socket: socket.socket
    pid: int
    program: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """End the zygote, and so its workers."""
        self.socket.close()
        if self.program is not None:
            self.program.kill()
            self.program.wait()
            return
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def fork_zygote() -> Handle | None:
    """Fork a zygote from this process; None where that is unsafe (it has threads, or an open GPU)."""
    if zygote.flaw():
        return None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        zygote.serve(theirs, parent)
    theirs.close()
    return Handle(ours, pid)


def start_zygote(log_level: str) -> Handle:
    """Start a zygote as a program of its own; raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = _PROGRAM.format(path=sys.path)
        command = [sys.executable, "-c", program, str(theirs.fileno()), str(os.getpid()), log_level]
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return Handle(ours, started.pid, started)


class Zygotes:
    """The zygote that forks now, and those that only wait for their workers' ends."""

    def __init__(self, handle: Handle | None, log_level: str) -> None:
        self._handle = handle
        self._log_level = log_level
        self._current: ZygoteLink | None = None
        self._retired: list[ZygoteLink] = []
        self._unsafe: set[str] = set()

    async def fork(self, link: socket.socket, arena: int, module: str, title: str, tell: Tell) -> int:
        """Return the process of a new worker with `module` imported; `tell` hears its exit code (negative: signal).

        Raises CannotFork. A module that cannot be imported before a fork is left to the worker.
        """
        while True:
            preload = "" if module in self._unsafe else module
            zygote_link = self._link()
            try:
                async with asyncio.timeout(FORK_LIMIT_S):
                    return await zygote_link.fork(link, arena, preload, title, tell)
            except TimeoutError:
                self._retire()
                raise CannotFork(f"no process within {FORK_LIMIT_S:.0f} s") from None
            except CannotFork as error:
                self._retire()  # it may have threads now, or be gone
                if not preload:
                    raise
                log.info("workers import %s themselves: %s", module, error)
                self._unsafe.add(module)

    def close(self) -> None:
        """End all zygotes, and so every worker that is left."""
        if self._handle is not None:
            self._handle.end()
            self._handle = None
        self._retire()
        for each in self._retired:
            each.close()
        self._retired = []

    def _link(self) -> ZygoteLink:
        if self._current is None:
            handle, self._handle = self._handle, None
            self._current = ZygoteLink(handle or start_zygote(self._log_level))
        return self._current

    def _retire(self) -> None:
        self._retired = [each for each in self._retired if each.has_workers]
        if self._current is not None:
            self._retired.append(self._current)
            self._current = None


class ZygoteLink:
    """One zygote: asks it for workers, hears of their ends."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[int], Tell]] = {}
        self._tell: dict[int, Tell] = {}
        self._is_gone = False
        handle.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(handle.socket, self._hear)

    @property
    def has_workers(self) -> bool:
        """Whether a worker of this zygote lives."""
        return bool(self._tell) and not self._is_gone

    async def fork(self, link: socket.socket, arena: int, module: str, title: str, tell: Tell) -> int:
        """Return the process of a new worker; raises CannotFork."""
        number = next(self._numbers)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future, tell
        try:
            socket.send_fds(self._handle.socket, [frames.bare(Fork(number, module, title))], [link.fileno(), arena])
            return await future
        except OSError as error:
            self.close()
            raise CannotFork(f"the zygote does not answer: {error}") from error
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """End the zygote, and so every worker that is left."""
        if self._is_gone:
            return
        self._is_gone = True
        asyncio.get_running_loop().remove_reader(self._handle.socket)
        self._handle.end()
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(CannotFork("the zygote ended"))
        for tell in self._tell.values():
            tell(-signal.SIGKILL)
        self._tell.clear()

    def _hear(self) -> None:
        while not self._is_gone:
            try:
                content = self._handle.socket.recv(zygote.MESSAGE_LIMIT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                content = b""
            if not content:
                self.close()
                return
            match frames.decode_from_zygote(content):
                case Forked() as answer:
                    self._settle(answer)
                case Ended() as end:
                    # Nobody's: a worker for which nobody waited any more when it was there.
                    if tell := self._tell.pop(end.pid, None):
                        tell(end.code)

    def _settle(self, answer: Forked) -> None:
        future, tell = self._waiting.get(answer.number, (None, None))
        if future is None or tell is None or future.done():
            return  # nobody waits for this worker any more: its socket is closed, and so it ends
        if answer.error:
            future.set_exception(CannotFork(answer.error))
        else:
            self._tell[answer.pid] = tell  # now: its end may be the next message
            future.set_result(answer.pid)
