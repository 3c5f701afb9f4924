"""A request head: bytes to a `Request`, to the lines that go upstream, and to the framing of its body.

httptools checks the grammar (CRLF, folding, tokens, Content-Length against Transfer-Encoding); this module adds what
RFC 9112 leaves to the recipient: one Host, known versions, absolute-form targets, hop-by-hop headers, limits. No I/O.
"""

from __future__ import annotations

import re
from typing import Any

import httptools

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.head_reader import HeadReader, HeadRefused
from tidegate.wire.header_rules import HeaderKinds
from tidegate.wire.limits import Limits

HOSTS_KEPT = 4096

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^#]*|\?[^#]*)?", re.IGNORECASE)
_KEEP_CONNECTION_TOKENS = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b""})
_hosts: dict[bytes, str] = {}


class RequestHeadReader(HeadReader):
    """Reads request heads of one client connection. After `done`, `take` hands out the request; then `reset`."""

    __slots__ = (
        "_coding",
        "_connection",
        "_count",
        "_index",
        "_kinds",
        "_te",
        "_upgrade",
        "headers",
        "keep_alive",
        "length",
        "lines",
        "target",
    )

    def __init__(self, limits: Limits, kinds: HeaderKinds) -> None:
        super().__init__(limits)
        self._kinds = kinds
        self.reset()

    def reset(self) -> None:
        """Begin the next head."""
        self.done = False
        self._head_bytes = 0
        self._count = 0
        self._coding: bytes | None = None
        self._connection: bytes | None = None
        self._upgrade: bytes | None = None
        self._te: bytes | None = None
        self._index: dict[bytes, bytes] = {}
        self.target = b""
        self.headers: list[HeaderLine] = []
        self.lines: list[bytes] = []
        self.length = 0
        self.keep_alive = True

    def _new_parser(self) -> Any:
        return httptools.HttpRequestParser(self)

    def _too_large(self, data: bytes, start: int) -> outcomes.Reason:
        if self._count == 0 and data.find(b"\n", start, start + self._limits.head_bytes) < 0:
            return outcomes.URI_TOO_LONG
        return outcomes.HEAD_TOO_LARGE

    # --- called by httptools ---

    def on_url(self, piece: bytes) -> None:
        """Collect the target; it may come in pieces."""
        self.target = self.target + piece if self.target else piece
        if len(self.target) > self._limits.target_bytes:
            self._refuse(outcomes.URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line."""
        self._count += 1
        kind = self._kinds[name]
        if kind == 0:
            self.headers.append((name, value))
            self.lines.append(b"%b: %b\r\n" % (name, value))
        else:
            self._take_special(kind, name, value)

    def _take_special(self, kind: int, name: bytes, value: bytes) -> None:
        if self._count > self._limits.head_lines:
            self._refuse(outcomes.HEAD_TOO_LARGE)
        value = value.rstrip(b" \t")
        if kind >= header_rules.DROPPED and kind in _PRIVATE:
            self._take_framing(kind, value)
            return
        lower = name.lower()
        if kind == header_rules.HOST and lower in self._index:
            self._refuse(outcomes.BAD_REQUEST)
        if kind == header_rules.LENGTH:
            self.length = int(value)
        self._index.setdefault(lower, value)
        self.headers.append((name, value))
        if kind != header_rules.STRIPPED:
            self.lines.append(b"%b: %b\r\n" % (name, value))

    def _take_framing(self, kind: int, value: bytes) -> None:
        if kind == header_rules.CONNECTION:
            self._connection = value if self._connection is None else self._connection + b"," + value
        elif kind == header_rules.CODING:
            self._coding = value if self._coding is None else self._coding + b"," + value
        elif kind == header_rules.UPGRADE:
            self._upgrade = value if self._upgrade is None else self._upgrade + b", " + value
        elif kind == header_rules.TE:
            self._te = value

    def _refuse(self, reason: outcomes.Reason) -> None:
        self._refusal = reason
        raise HeadRefused(reason)

    # --- called when the head is complete ---

    def take(self, peer: str, arrived: float) -> Request:
        """Check the complete head and return its request. Raises `HeadRefused`."""
        parser = self._parser
        if self._count > self._limits.head_lines:
            raise HeadRefused(outcomes.HEAD_TOO_LARGE)
        version, method = parser.get_http_version(), parser.get_method()
        if version != "1.1" or method == b"CONNECT":
            self._check_version(version, method)
        if self._connection is not None:
            self._apply_connection(version)
        if self._coding is not None:
            self._apply_coding(version)
        if self.target[:1] != b"/":
            self._reduce_target(method)
        raw_host = self._index.get(b"host")
        if raw_host is None:
            raw_host = self._supply_host(version)
        host = _hosts.get(raw_host) or _host_of(raw_host)
        index = self._index
        request = Request(method, self.target, host, self.headers, peer, arrived, version, False, 0, None, index)
        if self._te is not None or self._upgrade is not None or b"expect" in index:
            self._apply_rest(request)
        if self.length != 0 or not self.keep_alive:
            self._parser = None  # it expects the body, or refuses bytes after the close; a new one is cheap
        return request

    def _check_version(self, version: str, method: bytes) -> None:
        if version == "1.0":
            self.keep_alive = False
        elif version != "1.1":
            raise HeadRefused(outcomes.BAD_REQUEST, f"HTTP/{version} is not spoken here")
        if method == b"CONNECT":
            raise HeadRefused(outcomes.UPGRADE_REFUSED, "CONNECT is not served")

    def _apply_connection(self, version: str) -> None:
        tokens = {token.strip().lower() for token in (self._connection or b"").split(b",")}
        if b"close" in tokens:
            self.keep_alive = False
        elif b"keep-alive" in tokens:
            self.keep_alive = True
        if b"upgrade" not in tokens or version == "1.0":
            self._upgrade = None
        named = tokens - _KEEP_CONNECTION_TOKENS
        if named:
            kinds = self._kinds
            self.headers = [
                line for line in self.headers if line[0].lower() not in named or kinds[line[0]] in _NEVER_HOP_BY_HOP
            ]
            self._rebuild()

    def _apply_coding(self, version: str) -> None:
        coding = (self._coding or b"").strip().lower()
        if version == "1.0":
            raise HeadRefused(outcomes.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding")
        if coding != b"chunked":
            raise HeadRefused(outcomes.UPGRADE_REFUSED, "chunked is the only transfer coding served")
        self.length = chunked.CHUNKED
        self.lines.append(b"Transfer-Encoding: chunked\r\n")

    def _reduce_target(self, method: bytes) -> None:
        """Reduce an absolute-form target; its authority replaces Host (RFC 9112 section 3.2.2)."""
        if self.target == b"*" and method == b"OPTIONS":
            return
        match = _ABSOLUTE.fullmatch(self.target)
        if match is None:
            raise HeadRefused(outcomes.BAD_REQUEST, "the request target is in no known form")
        path = match[2] or (b"*" if method == b"OPTIONS" else b"/")
        self.target = b"/" + path if path[:1] == b"?" else path
        if b"host" in self._index:
            self._index[b"host"] = match[1]
            self.headers = [
                (name, match[1] if self._kinds[name] == header_rules.HOST else value) for name, value in self.headers
            ]
            self._rebuild()

    def _supply_host(self, version: str) -> bytes:
        if version == "1.1":
            raise HeadRefused(outcomes.BAD_REQUEST, "HTTP/1.1 requires Host")
        self.lines.append(b"Host: \r\n")
        return b""

    def _apply_rest(self, request: Request) -> None:
        """Handle the rare headers: Upgrade, TE, Expect."""
        if self._upgrade is not None and self._connection is not None:
            self._parser = None
            if self.length == 0:
                request.is_upgrade = True
                self.lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self._upgrade)
        if self._te is not None and b"trailers" in self._te.lower():
            self.lines.append(b"TE: trailers\r\n")
        expect = self._index.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise HeadRefused(outcomes.EXPECTATION_FAILED)
            if request.http_version == "1.0" or self.length == 0:
                self.headers = request.headers = [line for line in self.headers if line[0].lower() != b"expect"]
                self._rebuild()

    def _rebuild(self) -> None:
        """Write the lines anew after headers were removed; framing lines that no header stands for are kept."""
        kinds = self._kinds
        self.lines = [b"%b: %b\r\n" % line for line in self.headers if kinds[line[0]] != header_rules.STRIPPED]
        if self.length == chunked.CHUNKED:
            self.lines.append(b"Transfer-Encoding: chunked\r\n")


_PRIVATE = frozenset(
    {header_rules.CONNECTION, header_rules.CODING, header_rules.UPGRADE, header_rules.TE, header_rules.DROPPED}
)
_NEVER_HOP_BY_HOP = frozenset({header_rules.HOST, header_rules.LENGTH})


def _host_of(raw: bytes) -> str:
    """Return the host of a Host value in lower case without port; refuse what is not a host."""
    match = _HOST.fullmatch(raw)
    if match is None:
        raise HeadRefused(outcomes.BAD_REQUEST, "Host is not a valid host")
    host = match[1].decode("ascii").lower().rstrip(".")
    if len(_hosts) < HOSTS_KEPT and len(raw) <= 256:
        _hosts[raw] = host
    return host
