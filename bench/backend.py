"""The backend of every proxy measurement, as cheap as uvloop allows: `python -m bench.backend PORT`.

It reads no more of a request than it must. `/` answers 12 bytes, `/bytes/N` answers N, `/stream/N` N in constant
memory, `/chunked/N` answers N pieces of 1,000 bytes as chunks, each in its own write. A body is read and dropped first.
`/websocket` is upgraded and echoes messages of the one size that `websocket_client` sends.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

from bench.websocket_client import ECHO, MESSAGE, PATH
from tidegate.wire import loop

SMALL = b"hello world\n"
PIECE = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
STREAMED = b"x" * 65536
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_answers: dict[bytes, list[bytes]] = {}


class Backend(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._head = b""
        self._left = 0
        self._pieces: list[bytes] = []
        self._streamed_left = 0
        self._is_paused = False
        self._is_upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        """Wait for the reader."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on streaming."""
        self._is_paused = False
        self._stream()

    def _stream(self) -> None:
        while self._streamed_left and not self._is_paused:
            piece = STREAMED[: self._streamed_left]
            self._streamed_left -= len(piece)
            self._transport.write(piece)

    def data_received(self, data: bytes) -> None:
        """Answer every request whose last byte has come."""
        if self._is_upgraded:
            self._echo(data)
            return
        if self._left:
            taken = min(self._left, len(data))
            self._left -= taken
            if self._left:
                return
            self._answer()
            data = data[taken:]
        if self._head:
            data = self._head + data
            self._head = b""
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            data = self._begin(data, end)

    def _echo(self, data: bytes) -> None:
        data = self._head + data
        count, rest = divmod(len(data), len(MESSAGE))
        self._head = data[len(data) - rest :]
        if count:
            self._transport.write(ECHO * count)

    def _begin(self, data: bytes, end: int) -> bytes:
        target = data[: data.find(b"\r\n")].split(b" ")[1]
        if target.startswith(b"/stream/"):
            self._streamed_left = int(target[8:])
            self._transport.write(_HEAD % self._streamed_left)
            self._stream()
            return data[end + 4 :]
        if target == PATH.encode():
            self._is_upgraded = True
            self._transport.write(_SWITCH)
            return b""
        self._pieces = _answers.get(target) or _make(target)
        rest = data[end + 4 :]
        found = _LENGTH.search(data, 0, end) if data[:3] != b"GET" else None
        if found is not None:
            self._left = max(int(found[1]) - len(rest), 0)
            rest = rest[int(found[1]) :]
        if not self._left:
            self._answer()
        return rest

    def _answer(self) -> None:
        for piece in self._pieces:
            self._transport.write(piece)


def _make(target: bytes) -> list[bytes]:
    kind, _, count = target.lstrip(b"/").partition(b"/")
    if kind == b"bytes":
        pieces = [_HEAD % int(count) + b"x" * int(count)]
    elif kind == b"chunked":
        pieces = [_CHUNKED, *[PIECE] * int(count), b"0\r\n\r\n"]
    else:
        pieces = [_HEAD % len(SMALL) + SMALL]
    if len(_answers) < 64:
        _answers[target] = pieces
    return pieces


async def serve(port: int) -> None:
    """Serve until the process ends."""
    await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loop.run(serve(int(sys.argv[1])))
