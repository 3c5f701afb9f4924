"""An answer head: bytes from the upstream to the lines that go to the client, and the framing of the answer's body.

The client's view (Connection, Transfer-Encoding, Date) is written by `client_head`, because it depends on both sides.
No I/O.
"""

from __future__ import annotations

import email.utils
import http
import time
from typing import Any

import httptools

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules
from tidegate.wire.head_reader import HeadReader, HeadRefused
from tidegate.wire.header_rules import HeaderKinds
from tidegate.wire.limits import Limits

STATUS_LINES: dict[int, bytes] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_PHRASES: dict[int, bytes] = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_KINDS: HeaderKinds = header_rules.answer_kinds()


class AnswerHeadReader(HeadReader):
    """Reads answer heads of one upstream connection. After `done`, `finish` judges it; then `reset`."""

    __slots__ = ("_coding", "_connection", "has_date", "keep_alive", "length", "lines", "phrase", "status", "upgrade")

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.reset()

    def reset(self) -> None:
        """Begin the next head."""
        self.done = False
        self._head_bytes = 0
        self._coding: bytes | None = None
        self._connection: bytes | None = None
        self.upgrade: bytes | None = None
        self.has_date = False
        self.keep_alive = True
        self.length = chunked.UNTIL_CLOSE
        self.lines: list[bytes] = []
        self.phrase = b""
        self.status = 0

    def _new_parser(self) -> Any:
        return httptools.HttpResponseParser(self)

    def on_status(self, piece: bytes) -> None:
        """Collect the reason phrase; it may come in pieces."""
        self.phrase += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line."""
        kind = _KINDS[name]
        if kind == 0:
            self.lines.append(b"%b: %b\r\n" % (name, value))
            return
        if kind == header_rules.LENGTH:
            self.length = int(value)
        elif kind == header_rules.DATE:
            self.has_date = True
        elif kind == header_rules.CONNECTION:
            self._connection = value if self._connection is None else self._connection + b"," + value
            return
        elif kind == header_rules.CODING:
            self._coding = value if self._coding is None else self._coding + b"," + value
            return
        else:
            if kind == header_rules.UPGRADE:
                self.upgrade = value
            return
        self.lines.append(b"%b: %b\r\n" % (name, value))

    def finish(self, to_head_request: bool) -> None:
        """Judge the complete head: status, body length, whether the connection may be kept. Raises `HeadRefused`."""
        self.status = status = self._parser.get_status_code()
        if not 100 <= status <= 999:
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "the status is not valid")
        if self._parser.get_http_version() != "1.1":
            self.keep_alive = False
        if self._connection is not None:
            self._apply_connection()
        if self._coding is not None:
            self._apply_coding()
        if status < 200 or status == 204 or status == 304:
            self.length = 0
        elif to_head_request:
            self.length = 0
            self._parser = None
        elif self.length != 0:
            self._parser = None

    def _apply_connection(self) -> None:
        tokens = {token.strip().lower() for token in (self._connection or b"").split(b",")}
        if b"close" in tokens:
            self.keep_alive = False
        elif b"keep-alive" in tokens:
            self.keep_alive = True
        named = tokens - {b"close", b"keep-alive", b"upgrade", b"", b"content-length", b"date"}
        if named:
            self.lines = [line for line in self.lines if line.partition(b":")[0].lower() not in named]

    def _apply_coding(self) -> None:
        if (self._coding or b"").strip().lower() != b"chunked" or self._parser.get_http_version() != "1.1":
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "chunked is the only transfer coding served")
        self.length = chunked.CHUNKED

    def client_head(self, framing: bytes, answer_head: bytes) -> bytes:
        """Return the head for the client: status line, the upstream's lines, the director's, our framing lines."""
        status_line = STATUS_LINES.get(self.status)
        if status_line is None or self.phrase != _PHRASES[self.status]:
            status_line = b"HTTP/1.1 %d %b\r\n" % (self.status, self.phrase)
        lines = self.lines
        if not self.has_date and self.status >= 200:
            lines.append(date_line())
        return b"%b%b%b%b\r\n" % (status_line, b"".join(lines), answer_head, framing)


_date: tuple[int, bytes] = (0, b"")


def date_line() -> bytes:
    """Return the Date header line, made once a second."""
    global _date  # noqa: PLW0603 - a cache of one value
    now = int(time.time())
    if _date[0] != now:
        _date = (now, b"Date: " + email.utils.formatdate(now, usegmt=True).encode() + b"\r\n")
    return _date[1]
