"""A request head: bytes to a `Request`, to the lines that go upstream, and to the framing of its body.

httptools checks the grammar (CRLF, folding, tokens, Content-Length against Transfer-Encoding); this module adds what
RFC 9112 leaves to the recipient: one Host, known versions, absolute-form targets, hop-by-hop headers, limits. No I/O.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httptools

from tidegate.contracts import outcomes
from tidegate.wire import chunked, header_rules
from tidegate.wire.director import HeaderLine, Request
from tidegate.wire.head_reader import KEPT_LIMIT_BYTES, HeadReader, HeadRefused, length_of
from tidegate.wire.header_rules import HeaderKinds, HeadPlan
from tidegate.wire.limits import Limits

HOSTS_KEPT = 4096
HOST_BYTES = 512
"""No name is longer (RFC 1035: 253), and what several places remember by Host stays small."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^#]*|\?[^#]*)?", re.IGNORECASE)
_PROTOCOL = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
_NEVER_HOP_BY_HOP = frozenset({header_rules.HOST, header_rules.LENGTH})
Said = tuple[bytes, str, list[HeaderLine], str, bool, dict[bytes, bytes]]
"""What a head said beside its target: method, host, headers, version, whether it upgrades, index."""
_HTTP_1_1: Final = b" HTTP/1.1\r\n"
_LINE_BYTES: Final = len(b"  HTTP/1.1")
_PLAIN_TARGET: Final = re.compile(rb"/[0-9A-Za-z._~!$&'()*+,;=:@%/?-]*")
_hosts: Final[dict[bytes, str]] = {}


class RequestHeadReader(HeadReader):
    """Reads request heads of one client connection. After `done`, `take` hands out the request; then `reset`.

    `begin`: request line and header lines that go upstream, without the blank line. `length`: of the body, or
    `CHUNKED`.
    """

    __slots__ = (
        "_alone",
        "_block",
        "_index",
        "_is_plain",
        "_kinds",
        "_last",
        "_last_target",
        "_target",
        "_upgrade",
        "begin",
        "keep_alive",
        "length",
    )

    def __init__(self, limits: Limits, kinds: HeaderKinds) -> None:
        super().__init__(limits)
        self._kinds = kinds
        self._last: Said
        self._last_target = b""
        """What the last head said; `begin`, `length` and `keep_alive` are still as it left them."""
        self._alone: bytes | None = None
        """The last head, when nothing but a head like it has to follow; None while one is under way."""
        self._is_plain = False
        """Whether its request line is as everybody writes it, with a path."""
        self._block = b""
        """The header lines for the upstream where they are not those that came."""
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
        self._target = b""
        self._upgrade: bytes | None = None

    def _new_parser(self) -> Any:
        return httptools.HttpRequestParser(self)

    def _too_large(self, data: bytes, start: int) -> outcomes.Reason:
        if not self.headers and data.find(b"\n", start, start + self._limits.head_bytes) < 0:
            return outcomes.URI_TOO_LONG
        return outcomes.HEAD_TOO_LARGE

    def on_url(self, piece: bytes) -> None:
        """Collect the target; httptools hands it out in pieces when it came so."""
        self._target = self._target + piece if self._target else piece
        if len(self._target) > self._limits.target_bytes:
            self._refusal = outcomes.URI_TOO_LONG
            raise HeadRefused(outcomes.URI_TOO_LONG)

    def take(self, peer: str, arrived: float) -> Request:
        """Check the complete head and return its request. Raises `HeadRefused`."""
        if self._is_repeat:
            return self.again(peer, arrived)
        headers, parser = self.headers, self._parser
        if len(headers) > self._limits.head_lines:
            raise HeadRefused(outcomes.HEAD_TOO_LARGE)
        names = tuple(self._names)
        plan = self._kinds.plans.get(names) or self._kinds.plan(names)
        index: dict[bytes, bytes] = {}
        self._index = index
        for position, lower in plan.noted:
            index[lower] = headers[position][1].rstrip()
        self.length = length_of(headers[plan.length][1]) if plan.length >= 0 else 0
        self.keep_alive = True
        method, raw = parser.get_method(), self._raw
        line_end = raw.find(b"\r\n")
        # A target has no space, so this cannot be its end; asking the parser costs more.
        version = "1.1" if raw.startswith(_HTTP_1_1, line_end - 9) else parser.get_http_version()
        if version != "1.1" or method == b"CONNECT":
            self._check_version(version, method)
        target = self._target
        # With one space before the target, and none of the targets that need a closer look.
        is_usual = line_end == len(method) + len(target) + _LINE_BYTES and b"#" not in target
        if version != "1.1" or not is_usual:
            self._check_line(method, version)
        is_plain = is_usual and version == "1.1" and plan.has_one_host and target[:1] == b"/"
        if is_plain and plan.is_verbatim:
            self._block = b""
            self.begin = raw[:-2]
        else:
            self._rebuild(plan, method, version, line_end)
        raw_host = index.get(b"host", b"")
        host = _hosts.get(raw_host) or host_of(raw_host)
        is_upgrade = self._upgrade is not None
        if self.length != 0 or not self.keep_alive or plan.has_care:
            self._parser = None  # it expects the body, or refuses bytes after the close; a new one is cheap
        self._last = (method, host, self.headers, version, is_upgrade, index)
        self._last_target = self._target
        self._is_plain = is_plain
        self._kept = raw if len(raw) <= KEPT_LIMIT_BYTES else b""
        self._alone = self._kept if self._kept and self.length == 0 and self.keep_alive else None
        return self.again(peer, arrived)

    def again(self, peer: str, arrived: float) -> Request:
        """Return the last request once more, in an object of its own."""
        method, host, headers, version, is_upgrade, index = self._last
        target = self._last_target
        return Request(method, target, host, headers.copy(), peer, arrived, version, is_upgrade, 0, None, index.copy())

    def is_alone(self, data: bytes) -> bool:
        """Tell whether `data` is one whole request without body, known from the last one, and nothing else.

        It is when it equals the last head, or when the last one differs in the target alone and both targets are made
        of characters that mean nothing to a parser: then it would read all the rest as it did. `again` is the request.
        """
        alone = self._alone
        if alone is None:
            return False
        if data == alone:
            return True
        return self._is_plain and self._has_other_target(alone, data)

    def _has_other_target(self, alone: bytes, data: bytes) -> bool:
        """Take over another target, if that is all in which `data` differs from the last head, `alone`."""
        method, old = self._last[0], self._last_target
        target_at = len(method) + 1
        rest = alone[target_at + len(old) :]
        target_end = len(data) - len(rest)
        if target_end <= target_at or not data.endswith(rest) or not data.startswith(alone[:target_at]):
            return False
        target = data[target_at:target_end]
        if _PLAIN_TARGET.fullmatch(target) is None or _PLAIN_TARGET.fullmatch(old) is None:
            return False
        if len(data) > self._kept_limit():
            return False
        self._last_target = target
        self._alone = self._kept = data
        self.begin = request_line(method, target) + self._block if self._block else data[:-2]
        return True

    def feed(self, data: bytes, start: int = 0) -> int:
        """Read head bytes from `start`; return the position behind them. Raises `HeadRefused`."""
        position = super().feed(data, start)
        if not self._is_repeat:
            self._alone = None
        return position

    def _kept_limit(self) -> int:
        """How long a head may be that takes the short way with a target of its own."""
        limits = self._limits
        return min(KEPT_LIMIT_BYTES, limits.head_bytes, limits.target_bytes)

    def _rebuild(self, plan: HeadPlan, method: bytes, version: str, line_end: int) -> None:
        """Write the head anew, without the lines that were for us."""
        if plan.is_verbatim and line_end > 0:
            self._block = self._raw[line_end + 2 : -2]
        elif plan.has_care:
            self._take_care(plan, version)
        else:
            self._block = _lines_of([self.headers[position] for position in plan.kept])
        if self._target[:1] != b"/":
            self._reduce_target(method)
        if not plan.has_one_host:
            self._miss_host(plan, version)
        self.begin = request_line(method, self._target) + self._block

    def _check_version(self, version: str, method: bytes) -> None:
        if version == "1.0":
            self.keep_alive = False
        elif version != "1.1":
            raise HeadRefused(outcomes.BAD_REQUEST, f"HTTP/{version} is not spoken here")
        if method == b"CONNECT":
            raise HeadRefused(outcomes.UPGRADE_REFUSED, "CONNECT is not served")

    def _check_line(self, method: bytes, version: str) -> None:
        """Hold the request line to RFC 9112 section 3: httptools also takes other protocols and more than one space."""
        raw = self._raw
        while raw[:2] == b"\r\n":  # empty lines before a request are skipped
            raw = raw[2:]
        if not raw.startswith(b"%b %b HTTP/%b\r\n" % (method, self._target, version.encode())):
            raise HeadRefused(outcomes.BAD_REQUEST, "the request line is not valid")
        if b"#" in self._target:
            raise HeadRefused(outcomes.BAD_REQUEST, "a request target has no fragment")

    def _take_care(self, plan: HeadPlan, version: str) -> None:
        """Read the lines that are for us: framing, hop-by-hop headers and those that Connection names, Expect."""
        of_kind: dict[int, bytes] = {}
        for (_, value), kind in zip(self.headers, plan.kinds, strict=True):
            if kind >= header_rules.EXPECT:
                of_kind[kind] = of_kind[kind] + b"," + value if kind in of_kind else value
        tokens = tokens_of(of_kind.get(header_rules.CONNECTION, b""))
        if b"close" in tokens:
            self.keep_alive = False
        elif b"keep-alive" in tokens:
            self.keep_alive = True
        ours = self._framing_lines(of_kind, tokens, version)
        self._drop_expectation(of_kind, version)
        kinds = self._kinds
        self.headers = [
            line
            for line in self.headers
            if kinds[line[0]] < header_rules.CODING
            and (line[0].lower() not in tokens or kinds[line[0]] in _NEVER_HOP_BY_HOP)
            and (line[0].lower() != b"expect" or b"expect" in self._index)
        ]
        for token in tokens - {b"host", b"content-length"}:
            self._index.pop(token, None)
        self._block = _lines_of([line for line in self.headers if kinds[line[0]] != header_rules.STRIPPED]) + ours

    def _framing_lines(self, of_kind: dict[int, bytes], tokens: set[bytes], version: str) -> bytes:
        """Work out framing and upgrade; return the lines that say them to the upstream."""
        ours = b""
        coding = of_kind.get(header_rules.CODING)
        if coding is not None:
            if version == "1.0":
                raise HeadRefused(outcomes.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding")
            if coding.strip().lower() != b"chunked":
                raise HeadRefused(outcomes.UPGRADE_REFUSED, "chunked is the only transfer coding served")
            self.length = chunked.CHUNKED
            ours = b"Transfer-Encoding: chunked\r\n"
        upgrade = of_kind.get(header_rules.UPGRADE)
        # A request with a body is relayed without its upgrade, as RFC 9110 section 7.8 allows.
        if upgrade is not None and b"upgrade" in tokens and version == "1.1" and self.length == 0:
            self._upgrade = upgrade_of(upgrade)
            if self._upgrade is not None:
                ours += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self._upgrade
        if b"trailers" in of_kind.get(header_rules.TE, b"").lower():
            ours += b"TE: trailers\r\n"
        return ours

    def _drop_expectation(self, of_kind: dict[int, bytes], version: str) -> None:
        """Refuse what nobody can meet; an expectation without a body, or from HTTP/1.0, means nothing."""
        expect = of_kind.get(header_rules.EXPECT)
        if expect is None:
            return
        if expect.strip().lower() != b"100-continue":
            raise HeadRefused(outcomes.EXPECTATION_FAILED)
        if version == "1.0" or self.length == 0:
            self._index.pop(b"expect", None)

    def _reduce_target(self, method: bytes) -> None:
        """Reduce an absolute-form target; its authority replaces Host (RFC 9112 section 3.2.2)."""
        if self._target == b"*" and method == b"OPTIONS":
            return
        match = _ABSOLUTE.fullmatch(self._target)
        if match is None:
            raise HeadRefused(outcomes.BAD_REQUEST, "the request target is in no known form")
        path = match[2] or (b"*" if method == b"OPTIONS" else b"/")
        self._target = b"/" + path if path[:1] == b"?" else path
        has_host = b"host" in self._index
        self._index[b"host"] = match[1]
        if not has_host:
            return
        lines, kinds = self._block.split(b"\r\n"), self._kinds
        self._block = b"\r\n".join(
            b"Host: " + match[1] if kinds[line.partition(b":")[0]] == header_rules.HOST else line for line in lines
        )
        self.headers = [(name, match[1] if kinds[name] == header_rules.HOST else value) for name, value in self.headers]

    def _miss_host(self, plan: HeadPlan, version: str) -> None:
        if plan.has_host:
            raise HeadRefused(outcomes.BAD_REQUEST, "more than one Host")
        if version == "1.1":
            raise HeadRefused(outcomes.BAD_REQUEST, "HTTP/1.1 requires Host")
        self._block += b"Host: %b\r\n" % self._index.get(b"host", b"")


def tokens_of(value: bytes) -> set[bytes]:
    """Return the tokens of a Connection value in lower case."""
    return {token.strip().lower() for token in value.split(b",")}


def upgrade_of(value: bytes) -> bytes | None:
    """Return the protocols of an Upgrade that may be tunnelled, None when none is left.

    HTTP/2 by upgrade (RFC 9113 has dropped it) would be a tunnel past routing, limits and the stripping of headers:
    the app would read requests there that no hop has seen.
    """
    protocols = [protocol.strip(b" \t") for protocol in value.split(b",")]
    kept = [protocol for protocol in protocols if _PROTOCOL.fullmatch(protocol) and not _is_http(protocol)]
    return b", ".join(kept) or None


def _is_http(protocol: bytes) -> bool:
    return protocol.lower().startswith((b"h2", b"http", b"h3"))


def _lines_of(headers: list[HeaderLine]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def request_line(method: bytes, target: bytes) -> bytes:
    """Write the request line for an HTTP/1.1 upstream."""
    return b"%b %b HTTP/1.1\r\n" % (method, target)


def host_of(raw: bytes) -> str:
    """Return the host of a Host value in lower case without port; refuse what is not a host."""
    match = _HOST.fullmatch(raw)
    if match is None or len(raw) > HOST_BYTES:
        raise HeadRefused(outcomes.BAD_REQUEST, "Host is not a valid host")
    host = match[1].decode("ascii").lower().rstrip(".")
    if len(_hosts) < HOSTS_KEPT and len(raw) <= 256:
        _hosts[raw] = host
    return host
