"""A container's process group: start it, watch it end, signal all of it.

Processes get a session of their own, nothing of ours but the two log pipes, and SIGKILL when the node dies
(`setpriv --pdeathsig`, else a function between fork and exec, which costs some milliseconds more). Ends are seen
through pidfds, so any event loop will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.node import forked_child
from cluster.node.privileges import SETPCAP, Privileges
from cluster.node.users import User

PR_SET_PDEATHSIG = 1
_SETPRIV = shutil.which("setpriv")
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


class StartError(Exception):
    """The command cannot be run; the message says why, as a container runtime would."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and where. The descriptors stay the caller's.

    `preload` names modules that a template may have imported before; `limits` are RLIMIT_* names and values; `user` is
    None for the node's own; `view` says which folders it sees in place of others (root only).
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    stdout: int
    stderr: int
    preload: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    user: User | None = None
    privileges: Privileges = field(default_factory=Privileges)
    view: tuple[tuple[str, str], ...] = ()
    stdin: int | None = None


@dataclass(slots=True, eq=False)
class Process:
    """A started process; `ended` yields its exit code, negative for a signal."""

    pid: int
    way: str
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
            return
        # Between fork and setsid there is no group yet.
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def finish(self, exit_code: int) -> None:
        """Note the end of the process."""
        if not self.ended.done():
            self.ended.set_result(exit_code)


def start_plain(command: Command, note: str = "started plainly") -> Process:
    """Start `command`; raises `StartError`. `note` says why this way was taken."""
    executable = find(command)
    prefix, how = launcher(command.user, command.privileges)
    if command.view:
        how["preexec_fn"] = _looking(command.view, how.get("preexec_fn"))
    try:
        child = subprocess.Popen(
            [*prefix, executable, *command.argv[1:]],
            env=command.env,
            cwd=command.cwd,
            stdin=subprocess.DEVNULL if command.stdin is None else command.stdin,
            stdout=command.stdout,
            stderr=command.stderr,
            start_new_session=True,
            **how,
        )
    except OSError as error:
        raise StartError(f"cannot run {command.argv[0]!r}: {error.strerror or error}") from error
    for name, value in command.limits.items():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(child.pid, getattr(resource, name), (value, value))
    process = Process(child.pid, note)
    _watch(child, process)
    return process


def _looking(view: tuple[tuple[str, str], ...], then: Callable[[], None] | None) -> Callable[[], None]:
    """Return a function for the child that changes what it sees before it calls `then`."""

    def apply() -> None:
        forked_child.look_at(view)
        if then is not None:
            then()

    return apply


def launcher(user: User | None, privileges: Privileges) -> tuple[list[str], dict[str, Any]]:
    """Return words before a command, and arguments of Popen, that start it as `user`, without what it gives up and
    with its life tied to ours."""
    if _SETPRIV is None:
        before = die_with_parent(lambda: forked_child.give_up(privileges.no_new, sorted(privileges.dropped)))
        return [], {"preexec_fn": before, **(user.flags() if user else {})}
    # setpriv changes the user itself: a process that is no longer root could not drop capabilities.
    flags = privileges.flags(last_capability(), may_drop=may_drop()) if privileges != Privileges() else []
    if user is not None and os.geteuid() == 0:
        groups = ["--groups", ",".join(map(str, user.groups))] if user.groups else ["--clear-groups"]
        flags += ["--reuid", str(user.uid), "--regid", str(user.gid), *groups]
    return [_SETPRIV, "--pdeathsig", "KILL", *flags, "--"], {}


@functools.cache
def last_capability() -> int:
    """Return the number of the kernel's last capability."""
    return int(_LAST_CAPABILITY.read_text())


@functools.cache
def may_drop() -> bool:
    """Whether what this process starts has capabilities, and the right to drop them."""
    status = Path("/proc/self/status").read_text()
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return os.geteuid() == 0 and bool(int(effective, 16) >> SETPCAP & 1)


def find(command: Command) -> str:
    """Return the path of the executable; raises `StartError`."""
    name = command.argv[0]
    if "/" in name:
        found = Path(command.cwd) / name
        if not found.is_file():
            raise StartError(f"exec: {name!r}: no such file")
        if not os.access(found, os.X_OK):
            raise StartError(f"exec: {name!r}: permission denied")
        return str(found)
    path = shutil.which(name, path=command.env.get("PATH", os.defpath))
    if path is None:
        raise StartError(f"exec: {name!r}: executable file not found in $PATH")
    return path


def die_with_parent(then: Callable[[], None] | None = None) -> Callable[[], None]:
    """Return a function for the child that ties its life to this process (Linux only) and calls `then`."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def apply() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(137)
        if then is not None:
            then()

    return apply


def _watch(child: subprocess.Popen[bytes], process: Process) -> None:
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(child.pid)

    def over() -> None:
        code = child.poll()
        if code is None:
            return
        loop.remove_reader(descriptor)
        os.close(descriptor)
        process.finish(code)

    loop.add_reader(descriptor, over)


async def wait_ended(process: Process, timeout_s: float) -> bool:
    """Return whether the process ended within `timeout_s` seconds."""
    await asyncio.wait({process.ended}, timeout=max(0.0, timeout_s))
    return process.ended.done()


async def terminate(process: Process, grace_s: float, kill_wait_s: float = 10.0) -> None:
    """SIGTERM to the group, SIGKILL after `grace_s` seconds or once the first process has ended."""
    if not process.ended.done():
        process.signal_group(signal.SIGTERM)
        await wait_ended(process, grace_s)
    process.signal_group(signal.SIGKILL)
    await wait_ended(process, kill_wait_s)
