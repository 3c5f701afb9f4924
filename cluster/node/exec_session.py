"""One command run beside a container, with its variables, folder and mounts, over a WebSocket of channels.

The first byte of a message is the channel: 0 stdin, 1 stdout, 2 stderr, 3 the end as a Status, 4 the terminal size, 255
closes the channel it names. The command and all it started are killed when the client leaves. A process node isolates
nothing: what runs here runs as the node's user on this machine, as the container itself does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import termios
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from cluster.node import process
from cluster.node.surroundings import Setting
from tidegate.kube.api import Object
from tidegate.process import tasks

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOL = "v5.channel.k8s.io"
READ_BYTES = 32 << 10
MESSAGE_LIMIT_BYTES = 4 << 20
IDLE_TIMEOUT_S = 4 * 3600.0
SEND_TIMEOUT_S = 60.0
HEARTBEAT_S = 30.0
"""Between two pings to the API server; without an answer in half that time the client counts as gone."""
NOT_FOUND_CODE = 127
LEFT_S = 0.5
"""Twice so long without a word after the end of a command, whoever still holds its pipes has nothing to say for it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to run: the command, and which of stdin and a terminal it gets."""

    command: list[str]
    stdin: bool = False
    tty: bool = False


async def serve(request: web.Request, setting: Setting, wish: Wish) -> web.StreamResponse:
    """Run the command of `wish` for one client."""
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MESSAGE_LIMIT_BYTES, heartbeat=HEARTBEAT_S)
    await socket.prepare(request)
    try:
        end = await _run(socket, setting, wish)
        await send(socket, ERROR, json.dumps(end).encode())
    except (ConnectionError, TimeoutError):
        pass  # the client left
    await socket.close()
    return socket


async def _run(socket: web.WebSocketResponse, setting: Setting, wish: Wish) -> Object:
    prefix, how = process.launcher(setting.user, setting.privileges)
    if shutil.which(wish.command[0], path=setting.env.get("PATH", os.defpath)) is None and "/" not in wish.command[0]:
        return _failure(f'executable file "{wish.command[0]}" not found in $PATH', NOT_FOUND_CODE)
    terminal = _Terminal() if wish.tty else None
    ends = terminal.ends() if terminal else (asyncio.subprocess.PIPE,) * 3
    stdin = ends[0] if wish.stdin or terminal else asyncio.subprocess.DEVNULL
    try:
        running = await asyncio.create_subprocess_exec(
            *prefix,
            *wish.command,
            stdin=stdin,
            stdout=ends[1],
            stderr=ends[2],
            env=setting.env | ({"TERM": "xterm"} if terminal else {}),
            cwd=setting.cwd,
            start_new_session=True,
            **how,
        )
    except OSError as error:
        return _failure(f"cannot run {wish.command[0]!r}: {error.strerror}", NOT_FOUND_CODE)
    finally:
        if terminal:
            terminal.close_inner()
    session = _Session(socket, running, terminal)
    try:
        return await session.run()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGKILL)
        if terminal:
            terminal.close()


def _failure(message: str, code: int) -> Object:
    causes = [{"reason": "ExitCode", "message": str(code)}]
    text = f"command terminated with non-zero exit code: {message}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "NonZeroExitCode",
        "details": {"causes": causes},
    }


async def send(socket: web.WebSocketResponse, channel: int, content: bytes) -> None:
    """Send a channel message; raises TimeoutError when the client does not read, `ConnectionError` when it left."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await socket.send_bytes(bytes([channel]) + content)


class _Session:
    """The copying between the client's channels and a running command."""

    def __init__(
        self, socket: web.WebSocketResponse, process: asyncio.subprocess.Process, terminal: _Terminal | None
    ) -> None:
        self._socket = socket
        self._process = process
        self._terminal = terminal
        self._sending = 0

    async def run(self) -> Object:
        """Copy until the command has ended and all it said is told; raises `ConnectionError` when the client leaves."""
        listening = tasks.spawn(self._listen(), "exec-listen")
        telling = tasks.spawn(self._tell(), "exec-tell")
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
            if not telling.done():
                raise ConnectionResetError("the client left")
            code: int = telling.result()
        finally:
            await tasks.cancel(listening, telling)
        if code == 0:
            return {"metadata": {}, "status": "Success"}
        return _failure(f"exit status {code}", code if code > 0 else 128 - code)

    async def _tell(self) -> int:
        if self._terminal is not None:
            copying = [self._copy(STDOUT, self._terminal)]
        else:
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            copying = [self._copy(STDOUT, self._process.stdout), self._copy(STDERR, self._process.stderr)]
        copied = [tasks.spawn(one, "exec-copy") for one in copying]
        try:
            code = await self._process.wait()
            await self._until_told(copied)
        finally:
            await tasks.cancel(*copied)
        return code

    async def _until_told(self, copied: list[asyncio.Task[None]]) -> None:
        """Wait until the client has all that the ended command said, however slowly it reads.

        What the command left running may hold its pipes open; nobody waits for that. Twice, because the first time may
        have passed while this process did not run, and what the pipes hold is unread.
        """
        quiet = 0
        while quiet < 2:
            _, unfinished = await asyncio.wait(copied, timeout=LEFT_S)
            if not unfinished:
                return
            quiet = 0 if self._sending else quiet + 1

    async def _copy(self, channel: int, reader: asyncio.StreamReader | _Terminal) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            while content := await reader.read(READ_BYTES):
                self._sending += 1
                try:
                    await send(self._socket, channel, content)
                finally:
                    self._sending -= 1

    async def _listen(self) -> None:
        """Take what the client sends; returns when it has left."""
        while True:
            message = await self._socket.receive(timeout=IDLE_TIMEOUT_S)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            if message.data:
                await self._take(message.data[0], message.data[1:])

    async def _take(self, channel: int, content: bytes) -> None:
        if channel == STDIN and content:
            await self._write(content)
        elif channel == CLOSE and content[:1] == bytes([STDIN]):
            self._end_input()
        elif channel == RESIZE and self._terminal is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                size = json.loads(content)
                self._terminal.resize(int(size["Width"]), int(size["Height"]))

    async def _write(self, content: bytes) -> None:
        if self._terminal is not None:
            await self._terminal.write(content)
        elif self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(content)
                await self._process.stdin.drain()

    def _end_input(self) -> None:
        if self._terminal is None and self._process.stdin is not None:
            self._process.stdin.close()


class _Terminal:
    """A pseudo terminal: the outer end is ours, the inner one the command's."""

    def __init__(self) -> None:
        self._outer, self._inner = pty.openpty()
        os.set_blocking(self._outer, False)

    def ends(self) -> tuple[int, int, int]:
        """Return stdin, stdout and stderr for the command."""
        return (self._inner, self._inner, self._inner)

    def close_inner(self) -> None:
        """Leave the inner end to the command."""
        os.close(self._inner)

    async def read(self, limit_bytes: int) -> bytes:
        """Return what the command writes, empty at its end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._outer, limit_bytes)
            except BlockingIOError:
                readable = asyncio.Event()
                loop.add_reader(self._outer, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._outer)
            except OSError:
                return b""  # EIO: nobody holds the inner end any more

    async def write(self, content: bytes) -> None:
        """Type."""
        await asyncio.to_thread(self._write_all, content)

    def _write_all(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            while content:
                _, writable, _ = select.select([], [self._outer], [], SEND_TIMEOUT_S)
                if not writable:
                    return
                content = content[os.write(self._outer, content) :]

    def resize(self, width: int, height: int) -> None:
        """Set the size in characters."""
        with contextlib.suppress(OSError, struct.error):
            fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        """End."""
        with contextlib.suppress(OSError):
            os.close(self._outer)
