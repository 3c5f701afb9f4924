"""Feeding one message head to httptools and stopping exactly behind it.

httptools cannot be paused, so it is given bytes only up to the blank line: whatever follows (a body, a pipelined
request) stays untouched and is framed by `chunked`. Bodies never enter the parser; after a message with a body it is
replaced, which costs a fifth of a microsecond. This base knows boundaries and limits, not what the lines mean.
"""

from __future__ import annotations

from typing import Any, Final

import httptools

from tidegate.contracts import outcomes
from tidegate.wire.director import HeaderLine
from tidegate.wire.limits import Limits

END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH_DIGITS: Final = 18
KEPT_LIMIT_BYTES: Final = 2048
"""Heads up to this size are kept for comparison: one for each connection."""


class HeadRefused(Exception):
    """The head is not acceptable; `reason` says which answer it gets."""

    def __init__(self, reason: outcomes.Reason, detail: str = "") -> None:
        super().__init__(detail or reason.text)
        self.reason = reason


def length_of(value: bytes) -> int:
    """Return a Content-Length that httptools took for digits. Raises `HeadRefused` for one that nobody can mean.

    More digits than fit into 63 bits are where readers begin to differ.
    """
    if len(value) > LENGTH_DIGITS:
        raise HeadRefused(outcomes.BAD_REQUEST, "Content-Length has too many digits")
    return int(value)


class HeadReader:
    """Reads heads one after the other; `done` turns true when the present one is complete.

    Peers send the same head again and again. One that equals the last one kept byte for byte is not parsed anew
    (`_is_repeat`); for any other the comparison ends at the first byte that differs.
    """

    __slots__ = (
        "_head_bytes",
        "_is_repeat",
        "_kept",
        "_limits",
        "_names",
        "_parser",
        "_parts",
        "_raw",
        "_refusal",
        "_tail",
        "done",
        "headers",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser: Any = None
        self._tail = b""
        self._head_bytes = 0
        self._refusal: outcomes.Reason | None = None
        self._raw = b""
        """The complete head's bytes, blank lines before it included."""
        self._parts: list[bytes] = []
        """Those of a head that is not complete yet."""
        self._kept = b""
        self._is_repeat = False
        self._names: list[bytes] = []
        self.headers: list[HeaderLine] = []
        self.done = False

    @property
    def has_begun(self) -> bool:
        """Whether bytes of a head arrived that is not complete yet."""
        return self._head_bytes > 0

    def feed(self, data: bytes, start: int = 0) -> int:
        """Read head bytes from `start`; return the position behind them. Raises `HeadRefused`."""
        kept = self._kept
        if kept and not self._head_bytes and data.startswith(kept, start):
            self._is_repeat = self.done = True
            return start + len(kept)
        parser = self._parser
        if parser is None:
            parser = self._parser = self._new_parser()
        size = len(data)
        while start < size:
            found = -1 if self._tail else data.find(END_OF_HEAD, start)
            end = found + 4 if found >= 0 else self._boundary(data, start)
            self._head_bytes += end - start
            if self._head_bytes > self._limits.head_bytes:
                self._refuse_large(data, start, end)
            piece = data if end - start == size else data[start:end]
            try:
                parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                pass  # it asks to be left alone behind the head, which it is anyway
            except httptools.HttpParserError as error:
                raise HeadRefused(self._refusal or outcomes.BAD_REQUEST, str(error)) from error
            start = end
            if self.done:
                if self._head_bytes == len(piece):
                    self._raw = piece
                else:
                    self._raw = b"".join((*self._parts, piece))
                    self._parts.clear()
                break
            self._parts.append(piece)
        return start

    def _new_parser(self) -> Any:
        raise NotImplementedError

    def _refuse_large(self, data: bytes, start: int, end: int) -> None:
        """Refuse a head that is too large, or for what is wrong with it within the limit: as if it came by bytes."""
        allowed = data[start : end - (self._head_bytes - self._limits.head_bytes)]
        try:
            self._parser.feed_data(allowed)
        except httptools.HttpParserError as error:
            raise HeadRefused(self._refusal or outcomes.BAD_REQUEST, str(error)) from error
        raise HeadRefused(self._too_large(data, start))

    def _too_large(self, data: bytes, start: int) -> outcomes.Reason:
        return outcomes.HEAD_TOO_LARGE

    def _boundary(self, data: bytes, start: int) -> int:
        """Return the position behind the first blank line that ends in `data`, else the end of `data`."""
        tail = self._tail
        if tail:
            found = (tail + data[start : start + 3]).find(END_OF_HEAD)
            if found >= 0:
                self._tail = b""
                return start + found + 4 - len(tail)
        found = data.find(END_OF_HEAD, start)
        if found >= 0:
            self._tail = b""
            return found + 4
        self._tail = (tail + data[start:])[-3:] if len(data) - start < 3 else data[-3:]
        return len(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line."""
        self._names.append(name)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take httptools' word that the head is complete."""
        self.done = True
