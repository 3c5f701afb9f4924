"""The node's end of one template process: start it, fork from it, hear of its children's ends, retire it.

Requests and answers are datagrams over a socket pair. What a program is given (its variables are often secrets) goes in
a file that only the child reads: whatever a template reads, all its later children have in their memory. It knows one
template and decides nothing: which template is for which program, and when a new one is made, is the fork server's
matter.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import marshal
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.node.preload import Program, Template
from cluster.node.process import Command, Process, die_with_parent

log = logging.getLogger(__name__)

FORK_TIMEOUT_S = 2.0
MESSAGE_LIMIT_BYTES = 128 << 10
FORMAT = 2
"""Of marshal: one that every interpreter reads."""
KILLED = -9
_SCRIPT = str(Path(__file__).with_name("template.py"))


class CannotFork(Exception):
    """This command cannot be forked now; the message says why, empty for a command that no template could start."""


class Link:
    """One template process. `changed` is called when it is ready, stale or gone."""

    def __init__(self, template: Template, env: Mapping[str, str], changed: Callable[[Link], None]) -> None:
        self.template = template
        self.failed: dict[str, str] = {}
        self.imports_s = 0.0
        self.rss_bytes = 0
        self.flaw = ""
        """why nothing can be forked from it"""
        self.stale = ""
        """why nothing should be forked from it any more"""
        self.is_gone = False
        self.ready = asyncio.Event()
        self._changed = changed
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._running: dict[int, Process] = {}
        self._early: dict[int, int] = {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Once per template: the price of the function between fork and exec does not matter here.
            self._process = subprocess.Popen(
                [template.python, _SCRIPT, str(theirs.fileno()), *template.modules],
                pass_fds=[theirs.fileno()],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )
        ours.setblocking(False)
        self._socket: socket.socket | None = ours
        asyncio.get_running_loop().add_reader(ours, self._readable)

    @property
    def pid(self) -> int:
        """The template's process."""
        return self._process.pid

    @property
    def is_useful(self) -> bool:
        """Whether it forks, or will when its imports are done."""
        return not (self.is_gone or self.flaw or self.stale)

    async def fork(self, command: Command, program: Program) -> Process:
        """Start `program` with the surroundings of `command`; raises `CannotFork`."""
        number = next(self._numbers)
        request = {
            "kind": program.kind,
            "args": program.args,
            "env": dict(command.env),
            "cwd": command.cwd,
            "limits": command.limits,
            "no_new_privileges": command.privileges.no_new,
            "dropped": sorted(command.privileges.dropped),
            "view": command.view,
        }
        # Not JSON: what the child does to read it costs it pages that it shared.
        content = marshal.dumps(request, FORMAT)
        if self._socket is None or len(content) > MESSAGE_LIMIT_BYTES:
            raise CannotFork("the environment is too large" if self._socket else "the template is gone")
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(number, content, command)
            async with asyncio.timeout(FORK_TIMEOUT_S):
                pid = await answer
        except (OSError, TimeoutError) as error:
            raise CannotFork(f"the template does not answer: {error!r}") from error
        finally:
            self._waiting.pop(number, None)
        process = Process(pid, f"forked from a template of {self.template.title}")
        if pid in self._early:
            process.finish(self._early.pop(pid))
        else:
            self._running[pid] = process
        return process

    def _send(self, number: int, content: bytes, command: Command) -> None:
        assert self._socket is not None, "it was looked at before"
        with open(os.memfd_create("tidegate-fork"), "w+b") as file:
            file.write(content)
            file.flush()
            given = [command.stdout, command.stderr, file.fileno()]
            socket.send_fds(self._socket, [b'{"id": %d}' % number], given)

    def retire(self) -> None:
        """Let it end after its last child."""
        self.stale = self.stale or "retired"
        if self._socket is not None:
            try:
                self._socket.send(b'{"retire": true}')
            except OSError:
                self._gone()

    def kill(self) -> None:
        """End it now, its children with it."""
        self._process.kill()
        self._gone()

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(MESSAGE_LIMIT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, object]) -> None:
        match message:
            case {"ready": list(), "failed": dict(failed), "flaw": str(flaw)}:
                self.failed = {str(key): str(text) for key, text in failed.items()}
                self.flaw = flaw
                self.imports_s = float(str(message["imports_s"]))
                self.rss_bytes = int(str(message["rss"]))
                self.ready.set()
                self._changed(self)
            case {"stale": str(reason)}:
                self.stale = self.stale or reason
                self._changed(self)
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

    def _gone(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._process.kill()
        self._process.wait()
        # Its children die with it.
        for process in self._running.values():
            process.finish(KILLED)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(OSError("the template ended"))
        self._running.clear()
        self._early.clear()
        self._changed(self)
