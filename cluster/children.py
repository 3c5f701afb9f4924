"""Child processes of the supervisor: start, notice the end, start again with a growing pause, end.

A child dies with its supervisor (PR_SET_PDEATHSIG), whatever kills it. Its output goes to a log file of bounded size.
Part of the supervisor, so it imports almost nothing: no asyncio, no subprocess, no threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PAUSE_FIRST_S = 0.1
PAUSE_LAST_S = 10.0
SOUND_AFTER_S = 10.0
LOG_LIMIT_BYTES = 10 << 20
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """One process that is to run. `pid` is 0 while it does not."""

    __slots__ = ("_log", "_pause_s", "_started_s", "command", "due_s", "name", "pid")

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.command = command
        self.pid = 0
        self.due_s = 0.0
        self._log = log
        self._pause_s = PAUSE_FIRST_S
        self._started_s = 0.0

    def start(self, now: float) -> None:
        """Start the process."""
        rotate(self._log)
        self._started_s = now
        self.pid = _spawn(self.command, self._log)

    def ended(self, now: float) -> float:
        """Note that the process has ended; returns the seconds until it is due again."""
        self.pid = 0
        if now - self._started_s >= SOUND_AFTER_S:
            self._pause_s = PAUSE_FIRST_S
        pause_s, self._pause_s = self._pause_s, min(PAUSE_LAST_S, self._pause_s * 2)
        self.due_s = now + pause_s
        return pause_s

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.pid:
            os.kill(self.pid, number)

    def end(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s` seconds; returns when it is gone."""
        if not self.pid:
            return
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            next_signal([signal.SIGCHLD], 0.2)
        self.pid = 0


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


def next_signal(numbers: Iterable[int], timeout_s: float) -> int:
    """Wait for one of these blocked signals; returns its number, 0 when none has come in `timeout_s` seconds.

    Not Python's own: in a process that was stopped (Ctrl-Z, a frozen container) until the time was over, that one makes
    up a signal from memory that it never wrote to (CPython 3.11, `signal_sigtimedwait_impl`).
    """
    wanted = (ctypes.c_ulong * 16)(sum(1 << (number - 1) for number in numbers))
    timeout = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
    return max(0, int(_libc.sigtimedwait(wanted, None, ctypes.byref(timeout))))


def rotate(log: Path) -> None:
    """Move a log that has grown too large aside, while its writer keeps appending to the emptied file."""
    try:
        if log.stat().st_size < LOG_LIMIT_BYTES:
            return
    except FileNotFoundError:
        return
    with log.open("r+b") as source, log.with_name(log.name + ".1").open("wb") as target:
        while os.sendfile(target.fileno(), source.fileno(), None, 1 << 20):
            pass
        source.truncate(0)


def _spawn(command: list[str], log: Path) -> int:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(command, output, nothing, supervisor)
        finally:
            os._exit(127)
    os.close(output)
    os.close(nothing)
    return pid


def _become(command: list[str], output: int, nothing: int, supervisor: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != supervisor:
        return  # it died between fork and prctl
    # A group of its own: Ctrl-C at a terminal reaches the supervisor alone, which ends its children in order.
    os.setpgid(0, 0)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)
