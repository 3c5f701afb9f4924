"""WebSocket frames (RFC 6455): the handshake's answer, reading a frame, writing a frame. No sockets here."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import NamedTuple

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
FRAME_LIMIT_BYTES = 16 << 20

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    """One frame, unmasked."""

    is_final: bool
    opcode: int
    payload: bytes


def accept_key(key: str) -> str:
    """Return the value of Sec-WebSocket-Accept for the client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode(), usedforsecurity=False).digest()).decode()


def read_frame(read_exactly: Callable[[int], bytes]) -> Frame:
    """Read one frame from a client; raises ValueError when it is too large."""
    first, second = read_exactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(read_exactly(2), "big")
    elif length == 127:
        length = int.from_bytes(read_exactly(8), "big")
    if length > FRAME_LIMIT_BYTES:
        raise ValueError(f"a frame of {length} bytes is over the limit of {FRAME_LIMIT_BYTES}")
    mask = read_exactly(4) if second & 0x80 else b""
    payload = read_exactly(length)
    return Frame(bool(first & 0x80), first & 0x0F, _unmask(payload, mask) if mask else payload)


def write_frame(frame: Frame) -> bytes:
    """Return the frame's bytes, unmasked as a server sends them."""
    first = (0x80 if frame.is_final else 0) | frame.opcode
    size = len(frame.payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = bytes([126]) + size.to_bytes(2, "big")
    else:
        length = bytes([127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + frame.payload


def _unmask(payload: bytes, mask: bytes) -> bytes:
    # XOR as one big integer: byte by byte would take a second per megabyte.
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
