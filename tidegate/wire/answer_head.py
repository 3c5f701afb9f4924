"""An answer head: bytes from the upstream to the lines that go to the client, and the framing of the answer's body.

The client's view (Connection, Transfer-Encoding, Date) is written by `client_head`, because it depends on both sides.
No I/O.
"""

from __future__ import annotations

import email.utils
import http
import re
import time
from typing import Any

import httptools

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules
from tidegate.wire.head_reader import KEPT_LIMIT_BYTES, HeadReader, HeadRefused, length_of
from tidegate.wire.header_rules import HeaderKinds, HeadPlan
from tidegate.wire.limits import Limits
from tidegate.wire.request_head import tokens_of, upgrade_of

STATUS_LINES: dict[int, bytes] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_PHRASES: dict[int, bytes] = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_good_lines: set[bytes] = set(STATUS_LINES.values())
STATUS_LINES_KEPT = 1024


class AnswerHeadReader(HeadReader):
    """Reads answer heads of one upstream connection. After `done`, `finish` judges it; then `reset`.

    `length`: of the body, `CHUNKED` or `UNTIL_CLOSE`. `keep_alive`: whether the upstream takes another request.
    """

    __slots__ = (
        "_has_date",
        "_head",
        "_kept_length",
        "_kinds",
        "_made",
        "_made_for",
        "_made_until",
        "_phrase",
        "_whole_bytes",
        "keep_alive",
        "length",
        "status",
        "upgrade",
    )

    def __init__(self, limits: Limits, kinds: HeaderKinds = header_rules.ANSWER_KINDS) -> None:
        super().__init__(limits)
        self._kinds = kinds
        self._kept_length = 0
        self._whole_bytes = -1  # of an answer with the kept head, when its body has a length
        self._made, self._made_for, self._made_until = b"", b"", 0.0
        self.reset()

    def reset(self) -> None:
        """Begin the next head."""
        self.done = False
        self._head_bytes = 0
        if self._is_repeat:
            self._is_repeat = False
            return
        self._raw = b""
        self._parts.clear()
        self._names = []
        self.headers = []
        self._phrase = b""
        self.keep_alive = True
        self.upgrade: bytes | None = None

    def _new_parser(self) -> Any:
        return httptools.HttpResponseParser(self)

    def whole_again(self, data: bytes) -> int:
        """Return where the body begins when `data` is a whole answer with the last head once more, else 0."""
        if len(data) == self._whole_bytes and not self._head_bytes and data.startswith(self._kept):
            return len(self._kept)
        return 0

    def on_status(self, piece: bytes) -> None:
        """Collect the reason phrase; httptools hands it out in pieces when it came so."""
        self._phrase += piece

    def finish(self, to_head_request: bool) -> None:
        """Judge the complete head: status, body length, whether the connection may be kept. Raises `HeadRefused`."""
        if self._is_repeat:
            self.length = self._kept_length
            self._judge_length(to_head_request)
            return
        parser, headers, raw = self._parser, self.headers, self._raw
        self.status = status = parser.get_status_code()
        status_line = raw[: raw.find(b"\r\n") + 2]
        if status_line not in _good_lines:
            _check_status_line(status_line)
        names = tuple(self._names)
        plan = self._kinds.plans.get(names) or self._kinds.plan(names)
        self._has_date = plan.date >= 0
        self.length = length_of(headers[plan.length][1]) if plan.length >= 0 else chunked.UNTIL_CLOSE
        may_have_length = plan.length < 0 or (status >= 200 and status != 204)
        self._made_until, self._whole_bytes = 0.0, -1
        if plan.is_verbatim and status_line[:9] == b"HTTP/1.1 " and status_line[12:13] == b" " and may_have_length:
            self._head = raw[:-2]
            self._kept, self._kept_length = raw if len(raw) <= KEPT_LIMIT_BYTES else b"", self.length
            if self._kept and self.length >= 0 and status >= 200 and status not in (204, 304):
                self._whole_bytes = len(raw) + self.length
        else:
            self._kept = b""
            self._rebuild(plan)
        if status == 101 and self.upgrade is None:
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "switched to nothing that may be tunnelled")
        self._judge_length(to_head_request)

    def _judge_length(self, to_head_request: bool) -> None:
        status = self.status
        if status < 200 or status == 204 or status == 304:
            self.length = 0
        elif to_head_request:
            self.length = 0
            self._parser = None
        elif self.length != 0:
            self._parser = None

    def _rebuild(self, plan: HeadPlan) -> None:
        """Write the head anew without the lines that were for us, after reading these."""
        version = self._parser.get_http_version()
        of_kind: dict[int, bytes] = {}
        for (_, value), kind in zip(self.headers, plan.kinds, strict=True):
            if kind >= header_rules.EXPECT:
                of_kind[kind] = of_kind[kind] + b"," + value if kind in of_kind else value
        tokens = tokens_of(of_kind.get(header_rules.CONNECTION, b""))
        self.keep_alive = b"close" not in tokens and (version == "1.1" or b"keep-alive" in tokens)
        self.upgrade = upgrade_of(of_kind.get(header_rules.UPGRADE, b""))
        coding = of_kind.get(header_rules.CODING)
        if coding is not None:
            if coding.strip().lower() != b"chunked" or version != "1.1":
                raise HeadRefused(outcomes.UPSTREAM_FAILED, "chunked is the only transfer coding served")
            self.length = chunked.CHUNKED
        kept = [self.headers[position] for position in plan.kept]
        named = tokens - {b"content-length", b"date"}
        if self.status < 200 or self.status == 204:
            named.add(b"content-length")  # RFC 9110 section 8.6: these have none, whatever the upstream says
        lines = b"".join([b"%b: %b\r\n" % line for line in kept if line[0].lower() not in named])
        status_line = STATUS_LINES.get(self.status)
        if status_line is None or self._phrase != _PHRASES[self.status]:
            status_line = b"HTTP/1.1 %d %b\r\n" % (self.status, self._phrase)
        self._head = status_line + lines

    def client_head(self, framing: bytes, answer_head: bytes) -> bytes:
        """Return the head for the client: the upstream's lines, Date where missing, the director's lines, ours."""
        date = b"" if self._has_date or self.status < 200 else date_line()
        return b"%b%b%b%b\r\n" % (self._head, date, answer_head, framing)

    def head_again(self, now: float, answer_head: bytes) -> bytes:
        """Return `client_head` without framing; made once for a kept head and a second of its Date."""
        if now >= self._made_until or answer_head != self._made_for:
            self._made, self._made_for = self.client_head(b"", answer_head), answer_head
            self._made_until = now + 1.0 - time.time() % 1.0
        return self._made


def _check_status_line(line: bytes) -> None:
    """Hold a status line to RFC 9112 section 4: httptools also takes other protocols and control characters."""
    if _STATUS_LINE.fullmatch(line) is None:
        raise HeadRefused(outcomes.UPSTREAM_FAILED, "the status line is not valid")
    if len(_good_lines) < STATUS_LINES_KEPT and len(line) <= 64:
        _good_lines.add(line)


_date: tuple[int, bytes] = (0, b"")


def date_line() -> bytes:
    """Return the Date header line, made once a second."""
    global _date  # noqa: PLW0603 - a cache of one value
    now = int(time.time())
    if _date[0] != now:
        _date = (now, b"Date: " + email.utils.formatdate(now, usegmt=True).encode() + b"\r\n")
    return _date[1]
