"""Starts `python -m X` by forking a template process that has X's imports done.

The client side: one template process, requests and answers as datagrams over a socket pair, log descriptors handed
over with the request. Whatever goes wrong here is a reason to start plainly, never a reason not to start.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from cluster.node.process import Command, Process, die_with_parent
from cluster.node.reaper import STATE_VARIABLE

log = logging.getLogger(__name__)

READY_TIMEOUT_S = 20.0
FORK_TIMEOUT_S = 2.0
MESSAGE_LIMIT_BYTES = 128 << 10
RESTART_PAUSE_S = 1.0
KILLED = -9


class CannotFork(Exception):
    """This command cannot be forked now; the message says why, empty for a command that no template could start."""


class ForkServer:
    """Forks commands of the form `python -m X` for X in `modules`; `state` marks the processes as this node's."""

    def __init__(self, modules: Sequence[str], state: str) -> None:
        self._modules = frozenset(modules)
        self._state = state
        self._socket: socket.socket | None = None
        self._template: subprocess.Popen[bytes] | None = None
        self._ready = asyncio.Event()
        self._broken = asyncio.Event()
        self._imported: set[str] = set()
        self._failed: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._running: dict[int, Process] = {}
        self._early: dict[int, int] = {}

    @property
    def pid(self) -> int:
        """The template's process, 0 when there is none."""
        return self._template.pid if self._template else 0

    async def run(self) -> None:
        """Keep a template alive until cancelled."""
        if not self._modules:
            return
        try:
            while True:
                self._start()
                await self._broken.wait()
                self._stop()
                await asyncio.sleep(RESTART_PAUSE_S)
        finally:
            self._stop()

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return once the template has its imports done; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._ready.wait()

    def module_of(self, command: Command) -> str:
        """Return the module `command` runs; raises `CannotFork` when it is not one for this server."""
        argv = command.argv
        if len(argv) < 3 or argv[1] != "-m" or not _is_this_python(argv[0]):
            raise CannotFork("")
        if argv[2] not in self._modules:
            raise CannotFork(f"{argv[2]} is not in the template's list")
        if not self._ready.is_set():
            raise CannotFork("the template is not ready")
        if argv[2] not in self._imported:
            raise CannotFork(f"the template could not import {argv[2]}: {self._failed.get(argv[2], '')}")
        return argv[2]

    async def fork(self, command: Command) -> Process:
        """Start `command` from the template; raises `CannotFork`."""
        self.module_of(command)
        number = next(self._numbers)
        request = {"id": number, "argv": command.argv[2:], "env": command.env, "cwd": command.cwd}
        message = json.dumps(request).encode("utf-8", "surrogateescape")
        if self._socket is None or len(message) > MESSAGE_LIMIT_BYTES:
            raise CannotFork("the environment is too large" if self._socket else "the template is gone")
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(self._socket, [message], [command.stdout, command.stderr])
            async with asyncio.timeout(FORK_TIMEOUT_S):
                pid = await answer
        except (OSError, TimeoutError) as error:
            raise CannotFork(f"the template does not answer: {error!r}") from error
        finally:
            self._waiting.pop(number, None)
        process = Process(pid, "forked from a template")
        if pid in self._early:
            process.finish(self._early.pop(pid))
        else:
            self._running[pid] = process
        return process

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-m", "cluster.node.template", str(theirs.fileno()), *sorted(self._modules)]
        self._broken.clear()
        with theirs:
            # Only once per node: the price of the function between fork and exec does not matter here.
            self._template = subprocess.Popen(
                argv,
                pass_fds=[theirs.fileno()],
                env={**os.environ, STATE_VARIABLE: self._state},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )
        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._readable)

    def _stop(self) -> None:
        self._ready.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._template is not None:
            self._template.kill()
            self._template.wait()
            self._template = None
        # Its children die with it.
        for process in self._running.values():
            process.finish(KILLED)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(OSError("the template ended"))
        self._running.clear()
        self._early.clear()

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(MESSAGE_LIMIT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                if not self._broken.is_set():
                    log.warning("the fork template ended; starting another, its pods restart")
                asyncio.get_running_loop().remove_reader(self._socket)
                self._broken.set()
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, object]) -> None:
        match message:
            case {"ready": list(imported), "failed": dict(failed)}:
                self._imported = set(imported)
                self._failed = {str(key): str(text) for key, text in failed.items()}
                for module, text in self._failed.items():
                    log.warning("template: %s cannot be imported (%s); it will be started plainly", module, text)
                self._ready.set()
            case {"id": int(number), "pid": int(pid)}:
                self._forked(number, pid)
            case {"id": int(number), "error": str(text)}:
                if (answer := self._waiting.get(number)) and not answer.done():
                    answer.set_exception(OSError(text))
            case {"ended": int(pid), "code": int(code)}:
                if process := self._running.pop(pid, None):
                    process.finish(code)
                else:
                    self._early[pid] = code

    def _forked(self, number: int, pid: int) -> None:
        answer = self._waiting.get(number)
        if answer is None or answer.done():
            # Nobody waits for it any more: it was started plainly meanwhile.
            Process(pid, "").signal_group(signal.SIGKILL)
            return
        answer.set_result(pid)


def _is_this_python(name: str) -> bool:
    return name in (sys.executable, "python", "python3")
