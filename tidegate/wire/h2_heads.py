"""Heads between HTTP/2 header lists and the header lines that the engine carries from hop to hop.

A request or an answer travels through the engine as cleaned lines, each ending in CRLF; this module writes such lines
from HTTP/2 headers, and HTTP/2 headers from such lines. h2 has checked pseudo headers and names; what it leaves to the
recipient is checked here. No I/O.
"""

from __future__ import annotations

import re
from typing import Any

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules
from tidegate.wire.answer_head import STATUS_LINES, date_line
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.header_rules import HeaderKinds
from tidegate.wire.limits import Limits
from tidegate.wire.request_head import host_of

Headers = list[HeaderLine]

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"/[\x21-\x7e\x80-\xff]*")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_HTTP1_ONLY = frozenset(
    {b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection", b"host", b"expect"}
)
_LENGTH = header_rules.LENGTH
_ANSWER_KINDS: HeaderKinds = header_rules.answer_kinds()


class RequestHead:
    """One request head that came by HTTP/2. `block`: its lines for upstreams; `length`: of the body, or `CHUNKED`."""

    __slots__ = ("block", "length", "request")

    def __init__(
        self, headers: Headers, *, ended: bool, kinds: HeaderKinds, limits: Limits, peer: str, arrived: float
    ) -> None:
        """Check the head. Raises `HeadRefused`."""
        pseudo = {name: value for name, value in headers if name[:1] == b":"}
        lines = [line for line in headers if line[0][:1] != b":"]
        method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
        _check(method, target, lines, limits)
        authority = pseudo.get(b":authority")
        if authority is None:
            authority = next((value for name, value in lines if name == b"host"), b"")
        lines = [(b"Host", authority), *(line for line in lines if line[0] != b"host")]
        names = tuple([name for name, _ in lines])
        plan = kinds.plans.get(names) or kinds.plan(names)
        self.length = _length_of(lines, plan.kinds, ended=ended)
        if ended and any(int(line[1]) for line, kind in zip(lines, plan.kinds, strict=True) if kind == _LENGTH):
            raise HeadRefused(outcomes.BAD_REQUEST, "a body is announced and not sent")
        kept = [lines[position] for position in plan.kept if plan.kinds[position] != header_rules.EXPECT]
        ours = b""
        if header_rules.TE in plan.kinds:
            ours = b"TE: trailers\r\n"  # the only value that HTTP/2 allows
        if self.length == chunked.CHUNKED:
            ours += b"Transfer-Encoding: chunked\r\n"
        self.block = block_of(kept) + ours
        seen = [line for line, kind in zip(lines, plan.kinds, strict=True) if kind < header_rules.EXPECT]
        index = {lower: lines[position][1] for position, lower in plan.noted}
        self.request = Request(method, target, host_of(authority), seen, peer, arrived, "2", index=index)


class StreamAnswer:
    """One answer head that came by HTTP/2, in the shape of `AnswerHeadReader`."""

    __slots__ = ("_has_date", "_lines", "length", "status")

    keep_alive = True
    upgrade: bytes | None = None

    def __init__(self, headers: Headers, *, ended: bool, to_head_request: bool) -> None:
        """Check the head. Raises `HeadRefused`."""
        status = next((value for name, value in headers if name == b":status"), b"")
        if not (len(status) == 3 and status.isdigit()):
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "the status is not valid")
        self.status = int(status)
        lines = [line for line in headers if line[0][:1] != b":"]
        if not all(_is_valid(line) for line in lines):
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "a header is not valid")
        kinds = [_ANSWER_KINDS[name] for name, _ in lines]
        self.length = _length_of(lines, tuple(kinds), ended=ended)
        if to_head_request or self.status < 200 or self.status in (204, 304):
            self.length = 0
        self._lines = block_of([line for line, kind in zip(lines, kinds, strict=True) if kind < header_rules.STRIPPED])
        self._has_date = header_rules.DATE in kinds

    def client_head(self, framing: bytes, answer_head: bytes) -> bytes:
        """Return the head as HTTP/1.1 has it."""
        status_line = STATUS_LINES.get(self.status) or b"HTTP/1.1 %d \r\n" % self.status
        date = b"" if self._has_date or self.status < 200 else date_line()
        return b"%b%b%b%b%b\r\n" % (status_line, self._lines, date, answer_head, framing)


def block_of(lines: Headers) -> bytes:
    """Write header lines."""
    return b"".join([b"%b: %b\r\n" % line for line in lines])


def headers_of(block: bytes) -> Headers:
    """Read header lines that the engine wrote or checked; names come in lower case, HTTP/1.1's own are left out."""
    found: Headers = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        lower = name.lower()
        if colon and lower not in _HTTP1_ONLY:
            found.append((lower, value.strip(b" \t")))
    return found


def request_headers(request: Request, block: bytes) -> Headers:
    """Return the HTTP/2 headers of a request with these lines."""
    authority = request.index.get(b"host", b"")
    pseudo = [(b":method", request.method), (b":scheme", b"http"), (b":path", request.target)]
    return [*pseudo, (b":authority", authority), *headers_of(block)]


def answer_headers(status: int, head: bytes) -> Headers:
    """Return the HTTP/2 headers of an answer whose HTTP/1.1 head (status line first) this is."""
    return [(b":status", b"%d" % status), *headers_of(head.partition(b"\r\n")[2])]


def trailers_of(headers: Headers, kinds: HeaderKinds) -> tuple[HeaderLine, ...]:
    """Return the trailers that may travel on."""
    lines = tuple(line for line in headers if _is_valid(line))
    return header_rules.clean_trailers(lines, kinds)


def _check(method: bytes, target: bytes, lines: Headers, limits: Limits) -> None:
    if method == b"CONNECT":
        raise HeadRefused(outcomes.UPGRADE_REFUSED, "CONNECT is not served")
    if len(target) > limits.target_bytes:
        raise HeadRefused(outcomes.URI_TOO_LONG)
    if len(lines) > limits.head_lines:
        raise HeadRefused(outcomes.HEAD_TOO_LARGE)
    is_known_form = _TARGET.fullmatch(target) or (target == b"*" and method == b"OPTIONS")
    if not _METHOD.fullmatch(method) or not is_known_form:
        raise HeadRefused(outcomes.BAD_REQUEST, "the request line is not valid")
    if not all(_is_valid(line) for line in lines):
        raise HeadRefused(outcomes.BAD_REQUEST, "a header is not valid")


def _is_valid(line: Any) -> bool:
    return bool(_NAME.fullmatch(line[0]) and _VALUE.fullmatch(line[1]))


def _length_of(lines: Headers, kinds: tuple[int, ...], *, ended: bool) -> int:
    """Return the body's length; a head that ends its stream has no body, whatever length it names."""
    values = {line[1] for line, kind in zip(lines, kinds, strict=True) if kind == header_rules.LENGTH}
    if len(values) > 1 or not all(value.isdigit() and len(value) < 19 for value in values):
        raise HeadRefused(outcomes.BAD_REQUEST, "Content-Length is not valid")
    if ended:
        return 0
    return int(values.pop()) if values else chunked.CHUNKED
