"""Heads between HTTP/2 header lists and the header lines that the engine carries from hop to hop. No I/O.

A request or an answer that came by HTTP/2 goes on either as lines, each ending in CRLF, or as a header block: this
module makes both, and checks what RFC 9113 section 8 demands of the fields. What it makes of a header list is never
changed afterwards, so that a connection can keep it and use it for every head with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules, hpack_encoder
from tidegate.wire.answer_head import STATUS_LINES, date_line
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.header_rules import HeaderKinds, HeadPlan
from tidegate.wire.limits import Limits
from tidegate.wire.request_head import host_of

Headers = Sequence[HeaderLine]

NO_BODY_STATUSES = (204, 304)
ANY_LENGTH = -1
"""Of a body whose length its head does not say."""
LINES_KEPT = 8192
LINE_KEPT_BYTES = 512

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e\x80-\xff]*")  # any visible character but #: RFC 9112 section 3.2.1
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_HTTP1_ONLY = frozenset({b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection"})
_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
_ANSWER_PSEUDO = frozenset({b":status"})
_LENGTH = header_rules.LENGTH
_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"})
_SCHEMES = frozenset({b"http", b"https"})
_good: set[HeaderLine] = set()
_hosts: dict[bytes, str] = {}


class HeadMalformed(HeadRefused):
    """The head breaks RFC 9113 section 8: its stream is ended with PROTOCOL_ERROR instead of being answered."""

    def __init__(self, detail: str) -> None:
        super().__init__(outcomes.BAD_REQUEST, detail)


class RequestHead:
    """One request head that came by HTTP/2.

    `length`: of the body, or `CHUNKED`; 0 without one. `request()` makes a request of its own each time.
    """

    __slots__ = ("_block", "_encoded", "_host", "_index", "_kept", "_method", "_seen", "_target", "length")

    def __init__(self, headers: list[HeaderLine], *, ended: bool, kinds: HeaderKinds, limits: Limits) -> None:
        """Check the head. Raises `HeadRefused`, or `HeadMalformed`."""
        pseudo, given = _parted(headers, _REQUEST_PSEUDO)
        self._method, self._target = _request_line(pseudo, limits)
        if len(given) > limits.head_lines:
            raise HeadRefused(outcomes.HEAD_TOO_LARGE)
        given_names = [name for name, _ in given]
        authority = pseudo.get(b":authority")
        if b"host" in given_names or authority is None:
            authority = _authority(authority, given)
            given = [line for line in given if line[0] != b"host"]
        if given_names.count(b"cookie") > 1:
            given = _joined_cookies(given)
        lines = [(b"Host", authority), *given]
        names = tuple([name for name, _ in lines])
        self._host = _hosts.get(authority) or _host_of(authority)
        plan = kinds.plans.get(names) or kinds.plan(names)
        self.length = _length_of(lines, plan, ended=ended)
        self._kept = self._seen = lines
        if not plan.is_verbatim:
            self._kept = [lines[position] for position in plan.kept]
            if plan.has_care:
                self._take_care(lines, plan)
        self._index = {lower: lines[position][1] for position, lower in plan.noted}
        self._block: bytes | None = None
        self._encoded: bytes | None = None

    def _take_care(self, lines: list[HeaderLine], plan: HeadPlan) -> None:
        care = _cares.get(plan) or _care_of(plan)
        self._seen = [lines[position] for position in care.seen]
        for position in care.te:
            if lines[position][1].lower() != b"trailers":
                raise HeadMalformed("TE says more than trailers")
        if care.te:
            self._kept.append((b"TE", b"trailers"))
        for position in care.expect:
            if lines[position][1].lower() != b"100-continue":
                raise HeadRefused(outcomes.EXPECTATION_FAILED)
            if not self.length:
                self._kept.remove(lines[position])  # without a body there is nothing to wait for

    @property
    def block(self) -> bytes:
        """The header lines for an upstream that speaks HTTP/1.1."""
        if self._block is None:
            framing = b"Transfer-Encoding: chunked\r\n" if self.length == chunked.CHUNKED else b""
            self._block = block_of(self._kept) + framing
        return self._block

    @property
    def encoded(self) -> bytes:
        """The header block for an upstream that speaks HTTP/2."""
        if self._encoded is None:
            lines = [(b":method", self._method), (b":scheme", b"http"), (b":authority", self._kept[0][1])]
            lines += [(name.lower(), value) for name, value in self._kept[1:]]
            target = hpack_encoder.encode_path(self._target)
            self._encoded = target + hpack_encoder.encode(lines)
        return self._encoded

    def request(self, peer: str, arrived: float) -> Request:
        """Return a request with this head; its lists are its own."""
        headers, index = self._seen.copy(), self._index.copy()
        return Request(self._method, self._target, self._host, headers, peer, arrived, "2", False, 0, None, index)


class StreamAnswer:
    """One answer head that came by HTTP/2, in the shape of `AnswerHeadReader`.

    `length`: of the body towards HTTP/1.1 clients, or `CHUNKED`. `expected`: how many bytes must come, or `ANY_LENGTH`.
    """

    __slots__ = ("_encoded", "_has_date", "_kept", "_lines", "expected", "length", "status")

    keep_alive = True
    upgrade: bytes | None = None

    def __init__(
        self,
        headers: list[HeaderLine],
        *,
        ended: bool,
        to_head_request: bool,
        kinds: HeaderKinds = header_rules.ANSWER_KINDS,
    ) -> None:
        """Check the head. Raises `HeadRefused`."""
        pseudo, lines = _parted(headers, _ANSWER_PSEUDO)
        status = pseudo.get(b":status", b"")
        if not (len(status) == 3 and status.isdigit() and status >= b"100"):
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "the status is not valid")
        self.status = int(status)
        if self.status == 101 or (ended and self.status < 200):
            raise HeadRefused(outcomes.UPSTREAM_FAILED, "HTTP/2 has no such answer")
        names = tuple([name for name, _ in lines])
        plan = kinds.plans.get(names) or kinds.plan(names)
        has_no_body = to_head_request or self.status < 200 or self.status in NO_BODY_STATUSES
        self.length = _length_of(lines, plan, ended=ended, is_allowed=has_no_body)
        if has_no_body:
            self.length = 0
        self.expected = ANY_LENGTH if self.length == chunked.CHUNKED else self.length
        self._kept = [lines[position] for position in plan.kept]
        self._has_date = plan.date >= 0
        self._lines: bytes | None = None
        self._encoded: bytes | None = None

    def client_head(self, framing: bytes, answer_head: bytes) -> bytes:
        """Return the head as HTTP/1.1 has it."""
        if self._lines is None:
            self._lines = block_of(self._kept)
        status_line = STATUS_LINES.get(self.status) or b"HTTP/1.1 %d \r\n" % self.status
        date = b"" if self._has_date or self.status < 200 else date_line()
        return b"%b%b%b%b%b\r\n" % (status_line, self._lines, date, answer_head, framing)

    def encoded(self, answer_head: bytes) -> bytes:
        """Return the header block for a client that speaks HTTP/2."""
        if self._encoded is None:
            self._encoded = hpack_encoder.encode([(b":status", b"%d" % self.status), *self._kept])
        more = answer_head if self._has_date or self.status < 200 else date_line() + answer_head
        return self._encoded + hpack_encoder.encode_lines(more) if more else self._encoded


class _Care:
    """Positions of the lines that need more than to be passed on: found out once for each plan."""

    __slots__ = ("expect", "seen", "te")

    def __init__(self, plan: HeadPlan) -> None:
        kinds = list(enumerate(plan.kinds))
        self.seen = tuple([position for position, kind in kinds if kind < header_rules.EXPECT])
        self.te = tuple([position for position, kind in kinds if kind == header_rules.TE])
        self.expect = tuple([position for position, kind in kinds if kind == header_rules.EXPECT])


_cares: dict[HeadPlan, _Care] = {}


def _care_of(plan: HeadPlan) -> _Care:
    if len(_cares) >= header_rules.PLANS_KEPT:
        _cares.clear()
    care = _cares[plan] = _Care(plan)
    return care


def block_of(lines: Headers) -> bytes:
    """Write header lines."""
    return b"".join([b"%b: %b\r\n" % line for line in lines])


def encoded_request(request: Request, lines: bytes) -> bytes:
    """Return the header block of a request that came by HTTP/1.1 with these lines."""
    authority = request.index.get(b"host", b"")
    pseudo = [(b":method", request.method), (b":scheme", b"http"), (b":authority", authority)]
    target = hpack_encoder.encode_path(request.target)
    return target + hpack_encoder.encode(pseudo) + hpack_encoder.encode_lines(lines)


def encoded_answer(status: int, head: bytes) -> bytes:
    """Return the header block of an answer whose HTTP/1.1 head (status line first) this is."""
    return hpack_encoder.encode([(b":status", b"%d" % status)]) + hpack_encoder.encode_lines(head.partition(b"\r\n")[2])


def trailers_of(headers: Headers, kinds: HeaderKinds) -> tuple[HeaderLine, ...]:
    """Return the trailers that may travel on. Raises `HeadMalformed`."""
    if not all(line in _good or _is_valid(line) for line in headers):
        raise HeadMalformed("a trailer is not valid")
    return header_rules.clean_trailers(tuple(headers), kinds)


def _parted(headers: list[HeaderLine], allowed: frozenset[bytes]) -> tuple[dict[bytes, bytes], list[HeaderLine]]:
    """Return pseudo headers and lines, each checked. Raises `HeadMalformed`."""
    pseudo: dict[bytes, bytes] = {}
    count = 0
    for name, value in headers:
        if name[:1] != b":":
            break
        if name in pseudo or name not in allowed:
            raise HeadMalformed("a pseudo header is out of place")
        pseudo[name] = value
        count += 1
    lines = headers[count:]
    if not _good.issuperset(lines) and not all(map(_is_valid, lines)):
        raise HeadMalformed("a header is not valid")
    return pseudo, lines


def _is_valid(line: HeaderLine) -> bool:
    """Judge one line by RFC 9113 section 8.2, and remember the good ones."""
    name, value = line
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)) or name in _HTTP1_ONLY:
        return False
    if len(name) + len(value) <= LINE_KEPT_BYTES:
        if len(_good) >= LINES_KEPT:
            _good.clear()
        _good.add(line)
    return True


def _request_line(pseudo: dict[bytes, bytes], limits: Limits) -> tuple[bytes, bytes]:
    """Return method and target."""
    method, target = pseudo.get(b":method"), pseudo.get(b":path")
    if method == b"CONNECT":
        raise HeadRefused(outcomes.UPGRADE_REFUSED, "CONNECT is not served")
    scheme = pseudo.get(b":scheme", b"")
    if not method or not target or not (scheme in _SCHEMES or _SCHEME.fullmatch(scheme)):
        raise HeadMalformed("a pseudo header is missing, or no scheme")
    if len(target) > limits.target_bytes:
        raise HeadRefused(outcomes.URI_TOO_LONG)
    is_known_form = _TARGET.fullmatch(target) or (target == b"*" and method == b"OPTIONS")
    if not is_known_form or not (method in _METHODS or _METHOD.fullmatch(method)):
        raise HeadRefused(outcomes.BAD_REQUEST, "the request line is not valid")
    return method, target


def _authority(authority: bytes | None, lines: Headers) -> bytes:
    """Return the one authority: `:authority`, or Host; both only when they say the same."""
    named = {value for name, value in lines if name == b"host"}
    if authority is not None:
        named.add(authority)
    if len(named) != 1:
        raise HeadRefused(outcomes.BAD_REQUEST, "there is not exactly one authority")
    return named.pop()


def _host_of(authority: bytes) -> str:
    host = host_of(authority)
    if len(authority) <= LINE_KEPT_BYTES:
        if len(_hosts) >= LINES_KEPT:
            _hosts.clear()
        _hosts[authority] = host
    return host


def _joined_cookies(lines: list[HeaderLine]) -> list[HeaderLine]:
    """Join the crumbs of Cookie, which HTTP/2 may cut (RFC 9113 section 8.2.3): to others it is one header."""
    crumbs = [value for name, value in lines if name == b"cookie"]
    return [*(line for line in lines if line[0] != b"cookie"), (b"cookie", b"; ".join(crumbs))]


def _length_of(lines: Headers, plan: HeadPlan, *, ended: bool, is_allowed: bool = False) -> int:
    """Return the body's length. `is_allowed`: a head that ends its stream may name a length (answers to HEAD)."""
    if plan.length < 0:
        return 0 if ended else chunked.CHUNKED
    value = lines[plan.length][1]
    if plan.kinds.count(_LENGTH) > 1 or not value.isdigit() or len(value) > 18:
        raise HeadMalformed("Content-Length is not valid")
    if ended and int(value) and not is_allowed:
        raise HeadMalformed("a body is announced and not sent")
    return 0 if ended else int(value)
