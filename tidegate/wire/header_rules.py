"""What happens to a header line by its name: passed, noted for the director, stripped, or part of the framing.

The answer for each spelling is worked out once and kept, so the cost per header is one dictionary look-up. Names and
rules only; nothing here reads values.
"""

from __future__ import annotations

PASS = 0
"""Forwarded as it came."""
NOTED = 1
"""Forwarded, and found quickly by `Request.header`."""
STRIPPED = 2
"""Seen by the director, not forwarded."""
DROPPED = 3
"""Hop-by-hop: neither forwarded nor seen."""
HOST = 4
LENGTH = 5
CODING = 6
CONNECTION = 7
UPGRADE = 8
TE = 9
EXPECT = 10
DATE = 11

SPELLINGS_KEPT = 4096

_HOP_BY_HOP: dict[bytes, int] = {
    b"connection": CONNECTION,
    b"transfer-encoding": CODING,
    b"content-length": LENGTH,
    b"upgrade": UPGRADE,
    b"keep-alive": DROPPED,
    b"proxy-connection": DROPPED,
}
_REQUEST: dict[bytes, int] = _HOP_BY_HOP | {
    b"host": HOST,
    b"te": TE,
    b"expect": EXPECT,
    b"proxy-authorization": DROPPED,
    b"accept": NOTED,
    b"content-type": NOTED,
    b"user-agent": NOTED,
    b"traceparent": NOTED,
    b"x-forwarded-for": NOTED,
    b"x-forwarded-proto": NOTED,
    b"x-forwarded-host": NOTED,
    b"forwarded": NOTED,
}
_ANSWER: dict[bytes, int] = _HOP_BY_HOP | {b"proxy-authenticate": DROPPED, b"date": DATE}

FORWARDED_KINDS = frozenset({PASS, NOTED, HOST, LENGTH, EXPECT, DATE})
NOT_IN_TRAILERS = frozenset(
    {
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"authorization",
        b"set-cookie",
        b"cache-control",
        b"trailer",
    }
)


class HeaderKinds(dict[bytes, int]):
    """Header name in any spelling → kind; spellings are classified on first use, and a bounded number is kept."""

    def __init__(self, kinds: dict[bytes, int], prefixes: tuple[bytes, ...] = ()) -> None:
        super().__init__()
        self._kinds = kinds
        self._prefixes = prefixes

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        kind = self._kinds.get(lower, PASS)
        if kind in (PASS, NOTED) and self._prefixes and lower.startswith(self._prefixes):
            kind = STRIPPED
        if len(self) < SPELLINGS_KEPT and len(name) <= 64:
            self[name] = kind
        return kind


def request_kinds(strip: frozenset[bytes], strip_prefixes: tuple[bytes, ...]) -> HeaderKinds:
    """Build the rules of one director; framing and hop-by-hop headers cannot be overridden."""
    stripped = dict.fromkeys(strip, STRIPPED)
    fixed = {name: kind for name, kind in _REQUEST.items() if kind != NOTED and kind != EXPECT}
    return HeaderKinds(_REQUEST | stripped | fixed, strip_prefixes)


def answer_kinds() -> HeaderKinds:
    """Build the rules of answers."""
    return HeaderKinds(dict(_ANSWER))


def clean_trailers(trailers: tuple[tuple[bytes, bytes], ...], kinds: HeaderKinds) -> tuple[tuple[bytes, bytes], ...]:
    """Keep the trailer lines that may travel on: no framing, routing, stripped or content-describing fields."""
    return tuple(
        line for line in trailers if kinds[line[0]] in (PASS, NOTED) and line[0].lower() not in NOT_IN_TRAILERS
    )
