"""`kubectl attach`: what a running container writes from now on, and its standard input if it has one.

The channels are those of `exec_session`. The container does not depend on who is attached: a client that reads too
slowly is let go. There is no terminal: a container's output goes through pipes, whatever its `tty` says.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web

from cluster.node import exec_session
from cluster.node.logs import ContainerLog, Tap
from tidegate.process import tasks

CHANNELS = {"stdout": exec_session.STDOUT, "stderr": exec_session.STDERR}
SUCCESS = {"metadata": {}, "status": "Success"}


class Attachable(Protocol):
    """A run of a container."""

    @property
    def log(self) -> ContainerLog | None:
        """The log being written, None before the start."""
        ...

    async def feed(self, content: bytes) -> None:
        """Write to its standard input; raises TimeoutError when it does not read."""
        ...

    def end_input(self) -> None:
        """End its standard input."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """Which streams a client wants, whether it has a terminal, and whether the input ends with the client."""

    streams: frozenset[str]
    tty: bool = False
    is_once: bool = False


async def serve(request: web.Request, run: Attachable, wish: Wish) -> web.StreamResponse:
    """Serve one client until it leaves or the container ends."""
    socket = web.WebSocketResponse(
        protocols=(exec_session.PROTOCOL,),
        max_msg_size=exec_session.MESSAGE_LIMIT_BYTES,
        heartbeat=exec_session.HEARTBEAT_S,
    )
    await socket.prepare(request)
    log = run.log
    if log is not None and not log.is_closed:
        with log.tap() as tap:
            await _relay(socket, tap, run, wish)
    await socket.close()
    return socket


async def _relay(socket: web.WebSocketResponse, tap: Tap, run: Attachable, wish: Wish) -> None:
    telling = tasks.spawn(_tell(socket, tap, wish), "attach-tell")
    listening = tasks.spawn(_listen(socket, run, wish), "attach-listen")
    try:
        await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.cancel(telling, listening)
        if "stdin" in wish.streams and wish.is_once:
            run.end_input()


async def _tell(socket: web.WebSocketResponse, tap: Tap, wish: Wish) -> None:
    try:
        async for stream, content in tap.pieces():
            if stream in wish.streams:
                shown = content.replace(b"\n", b"\r\n") if wish.tty else content
                await exec_session.send(socket, CHANNELS[stream], shown)
        await exec_session.send(socket, exec_session.ERROR, json.dumps(SUCCESS).encode())
    except (ConnectionError, TimeoutError):
        pass  # the client left


async def _listen(socket: web.WebSocketResponse, run: Attachable, wish: Wish) -> None:
    """Take what the client sends; returns when it has left."""
    while True:
        message = await socket.receive(timeout=exec_session.IDLE_TIMEOUT_S)
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        if "stdin" not in wish.streams or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel == exec_session.STDIN and content:
            try:
                await run.feed(content)
            except TimeoutError:
                return  # the container does not read
        elif channel == exec_session.CLOSE and content[:1] == bytes([exec_session.STDIN]) and wish.is_once:
            run.end_input()
