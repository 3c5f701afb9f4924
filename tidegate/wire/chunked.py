"""Reading and writing message bodies by their framing: a length, chunks, or the end of the connection.

A reader is handed bytes as they arrive and yields payload slices, never joining them. Chunked framing is read strictly
(CRLF only, no space around sizes, bounded lines), because two parties that read it differently are how requests are
smuggled; chunk extensions are dropped, as RFC 9112 section 7.1.1 allows. No I/O here.
"""

from __future__ import annotations

import re
from typing import Final

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
LINE_LIMIT_BYTES: Final = 4 * 1024
TRAILER_LIMIT_BYTES: Final = 16 * 1024
TRAILER_LINES: Final = 128
LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)")


class BodyError(Exception):
    """The body's framing is malformed."""


class LengthBody:
    """A body of `length` bytes."""

    __slots__ = ("done", "left")
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def read(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Append the payload found in `data` from `position` to `out`; return where it ended."""
        available = len(data) - position
        if available > self.left:
            out.append(data[position : position + self.left])
            position += self.left
            self.left = 0
        else:
            out.append(data[position:] if position else data)
            position += available
            self.left -= available
        self.done = self.left == 0
        return position


class UntilCloseBody:
    """A body that ends with the connection."""

    __slots__ = ()
    done = False
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def read(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Append everything to `out`."""
        out.append(data[position:] if position else data)
        return len(data)


class ChunkedBody:
    """A chunked body; raises `BodyError` on the first byte that is not RFC 9112."""

    __slots__ = ("_after_data", "_in_trailers", "_left", "_line", "_trailer_bytes", "done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        self._left = 0
        self._line = b""
        self._after_data = False
        self._in_trailers = False
        self._trailer_bytes = 0

    def read(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Append the payload found in `data` from `position` to `out`; return where the body (so far) ended."""
        size = len(data)
        while position < size and not self.done:
            if not self._left:
                position = self._read_line(data, position)
                continue
            end = min(position + self._left, size)
            out.append(data[position:end])
            self._left -= end - position
            self._after_data = self._left == 0
            position = end
        return position

    def _read_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position) + 1
        self._line += data[position : end or len(data)]
        if len(self._line) > LINE_LIMIT_BYTES:
            raise BodyError("a line of the chunked framing is too long")
        if not end:
            self._refuse_early()
            return len(data)
        line, self._line = self._line, b""
        if line[-2:] != b"\r\n":
            raise BodyError("a line of the chunked framing ends without CRLF")
        self._take_line(line[:-2])
        return end

    def _refuse_early(self) -> None:
        # What can no longer become a valid line is refused now: waiting for its end would leave the peer hanging.
        if self._after_data and self._line not in (b"", b"\r"):
            raise BodyError("a chunk is longer than its size")

    def _take_line(self, line: bytes) -> None:
        if self._after_data:
            if line:
                raise BodyError("a chunk is longer than its size")
            self._after_data = False
        elif self._in_trailers:
            self._take_trailer(line)
        else:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise BodyError("a chunk's size is not valid")
            self._left = int(match[1], 16)
            self._in_trailers = self._left == 0

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_bytes += len(line)
        match = _TRAILER_LINE.fullmatch(line)
        if match is None or self._trailer_bytes > TRAILER_LIMIT_BYTES or len(self.trailers) >= TRAILER_LINES:
            raise BodyError("a trailer is not valid")
        self.trailers += ((match[1], match[2].rstrip()),)


Body = LengthBody | ChunkedBody | UntilCloseBody


def body_of(length: int) -> Body:
    """Return the reader for a length, `CHUNKED` or `UNTIL_CLOSE`."""
    if length >= 0:
        return LengthBody(length)
    return ChunkedBody() if length == CHUNKED else UntilCloseBody()


def encode_chunks(pieces: list[bytes]) -> list[bytes]:
    """Frame payload pieces as chunks, one each; small ones are joined with their framing to save writes."""
    out: list[bytes] = []
    for piece in pieces:
        size = len(piece)
        if size > 4096:
            out += (b"%x\r\n" % size, piece, b"\r\n")
        elif size:
            out.append(b"%x\r\n%b\r\n" % (size, piece))
    return out


def encode_last(trailers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Frame the end of a chunked body."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n" + b"".join(b"%b: %b\r\n" % line for line in trailers) + b"\r\n"
