"""The backend of the gRPC measurements, as cheap as uvloop allows: `python -m bench.grpc_backend PORT`.

HTTP/2 in clear text by prior knowledge. Every stream whose last frame has come is answered with the same head, a
five-byte message frame with 12 bytes, and the trailer `grpc-status: 0`, all written as constants. It decodes no header:
what it would learn from one it does not need, and no figure here is about the backend.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

from tidegate.wire import loop

MESSAGE = b"\x00" + struct.pack(">L", 12) + b"hello world\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _ACK = 1, 1
_HEAD = struct.Struct(">HBBBL")


def _literal(name: bytes, value: bytes) -> bytes:
    """Return one header, never indexed and without Huffman coding."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_ANSWER = b"\x88" + _literal(b"content-type", b"application/grpc")
_TRAILERS = _literal(b"grpc-status", b"0") + _literal(b"grpc-message", b"")


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return one frame."""
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload


GREETING = (
    # 128 streams at a time, 1 MiB for each and 1 GiB for the connection, which is not renewed often.
    frame(_SETTINGS, 0, 0, struct.pack(">HLHL", 3, 128, 4, 1 << 20)) + frame(8, 0, 0, struct.pack(">L", 1 << 30))
)


def answer(stream_id: int) -> bytes:
    """Return the three frames of one answer."""
    return b"".join(
        (
            frame(_HEADERS, 4, stream_id, _ANSWER),
            frame(_DATA, 0, stream_id, MESSAGE),
            frame(_HEADERS, 4 | _END_STREAM, stream_id, _TRAILERS),
        )
    )


class GrpcBackend(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._rest = b""
        self._is_greeted = False
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every stream that has ended."""
        data = self._rest + data
        position, out = 0, []
        if not self._is_greeted:
            if len(data) < len(PREFACE):
                self._rest = data
                return
            if not data.startswith(PREFACE):
                self._transport.abort()
                return
            self._is_greeted, position = True, len(PREFACE)
            out.append(GREETING)
        size = len(data)
        while position + 9 <= size:
            high, low, kind, flags, stream_id = _HEAD.unpack_from(data, position)
            end = position + 9 + (high << 8 | low)
            if end > size:
                break
            if kind == _DATA:
                self._taken += end - position - 9
            if kind <= _HEADERS and flags & _END_STREAM:
                out.append(answer(stream_id))
            elif kind == _SETTINGS and not flags & _ACK:
                out.append(frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                out.append(frame(_PING, _ACK, 0, data[position + 9 : end]))
            position = end
        self._rest = data[position:]
        if self._taken > 1 << 29:
            out.append(frame(8, 0, 0, struct.pack(">L", self._taken)))
            self._taken = 0
        if out:
            self._transport.write(b"".join(out))


async def serve(port: int) -> None:
    """Serve until the process ends."""
    await asyncio.get_running_loop().create_server(GrpcBackend, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loop.run(serve(int(sys.argv[1])))
