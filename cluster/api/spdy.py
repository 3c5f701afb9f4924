"""(pure) SPDY/3.1 framing, as much as kubectl needs for exec and port-forward: streams, data, ping, reset, goodbye.

kubectl (all versions for port-forward, up to 1.29 for exec) opens streams over an upgraded connection and uses no flow
control windows. Bytes go in, events and bytes come out; the name blocks of a connection share one zlib stream.
Source: draft-mbelshe-httpbis-spdy-00 with the dictionary of version 3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
FRAME_LIMIT_BYTES = 1 << 20
NAMES_LIMIT_BYTES = 16 << 10
STREAMS_LIMIT = 512
CHUNK_BYTES = 32 << 10

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(text: str) -> bytes:
    return struct.pack(">I", len(text)) + text.encode()


DICTIONARY = b"".join(_counted(word.replace("_", " ")) for word in _WORDS.split()) + _REST.encode()


class SpdyError(Exception):
    """The peer does not speak SPDY/3.1, or too much of it; the connection has to end."""


class Opened(NamedTuple):
    """The peer opened a stream."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool


class Received(NamedTuple):
    """Data came; `is_last` when the peer sends no more on this stream (and data may be empty)."""

    stream: int
    data: bytes
    is_last: bool


class Reset(NamedTuple):
    """The peer gave a stream up."""

    stream: int


class Pinged(NamedTuple):
    """The peer wants an answer: the frame to send."""

    answer: bytes


class Left(NamedTuple):
    """The peer opens no more streams."""


Event = Opened | Received | Reset | Pinged | Left


class Connection:
    """The server's end of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._opened = 0

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes and return what they mean; raises `SpdyError`."""
        self._buffer += data
        return list(self._frames())

    def _frames(self) -> Iterator[Event]:
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            size, flags = second & 0xFFFFFF, second >> 24
            if size > FRAME_LIMIT_BYTES:
                raise SpdyError(f"a frame of {size} bytes is larger than {FRAME_LIMIT_BYTES}")
            if len(self._buffer) < 8 + size:
                return
            body = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            if not first >> 31:
                yield Received(first, body, bool(flags & FIN))
                continue
            if first >> 16 & 0x7FFF != 3:
                raise SpdyError("the peer does not speak SPDY/3")
            try:
                yield from self._control(first & 0xFFFF, flags, body)
            except (struct.error, UnicodeDecodeError, zlib.error) as error:
                raise SpdyError(f"a damaged control frame: {error}") from error

    def _control(self, kind: int, flags: int, body: bytes) -> Iterator[Event]:
        match kind:
            case _ if kind == SYN_STREAM:
                self._opened += 1
                if self._opened > STREAMS_LIMIT:
                    raise SpdyError(f"more than {STREAMS_LIMIT} streams on one connection")
                stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
                yield Opened(stream, self._names(body[10:]), bool(flags & FIN))
            case _ if kind == HEADERS:
                self._names(body[4:])  # the zlib stream must be read on
            case _ if kind == RST_STREAM:
                yield Reset(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
            case _ if kind == PING:
                yield Pinged(_control_frame(PING, 0, body[:4]))
            case _ if kind == GOAWAY:
                yield Left()

    def _names(self, packed: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(packed, NAMES_LIMIT_BYTES)
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {NAMES_LIMIT_BYTES} bytes")
        (count,), at = struct.unpack_from(">I", plain), 4
        found: dict[str, str] = {}
        for _ in range(count):
            pair = []
            for _ in range(2):
                (size,) = struct.unpack_from(">I", plain, at)
                pair.append(plain[at + 4 : at + 4 + size].decode())
                at += 4 + size
            found[pair[0].lower()] = pair[1]
        return found

    # Sending

    def accept(self, stream: int) -> bytes:
        """Return the reply that accepts a stream."""
        plain = struct.pack(">I", 0)
        packed = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(SYN_REPLY, 0, struct.pack(">I", stream) + packed)


def data(stream: int, content: bytes, is_last: bool = False) -> bytes:
    """Return data frames for a stream."""
    parts = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)] or [b""]
    frames = []
    for index, part in enumerate(parts):
        flags = FIN if is_last and index == len(parts) - 1 else 0
        frames.append(struct.pack(">II", stream, flags << 24 | len(part)) + part)
    return b"".join(frames)


def reset(stream: int, code: int = 5) -> bytes:
    """Return the frame that gives a stream up; code 5 is "cancelled"."""
    return _control_frame(RST_STREAM, 0, struct.pack(">II", stream, code))


def goodbye() -> bytes:
    """Return the frame before the end of a connection."""
    return _control_frame(GOAWAY, 0, struct.pack(">II", 0, 0))


def _control_frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body
