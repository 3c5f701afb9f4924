"""What happens to a header line by its name: passed, noted for the director, stripped, or part of the framing.

Clients send the same header names in the same order again and again, so what is known from the names alone is worked
out once for each sequence of names and kept as a `HeadPlan`. Names and rules only; nothing here reads values.
"""

from __future__ import annotations

from typing import Final

PASS: Final = 0
"""Forwarded as it came."""
NOTED: Final = 1
"""Forwarded, and found quickly by `Request.header`."""
HOST: Final = 2
LENGTH: Final = 3
DATE: Final = 4
STRIPPED: Final = 5
"""Seen by the director, not forwarded."""
EXPECT: Final = 6
CODING: Final = 7
CONNECTION: Final = 8
UPGRADE: Final = 9
TE: Final = 10
DROPPED: Final = 11
"""Hop-by-hop: neither forwarded nor seen, as are the four before it."""

SPELLINGS_KEPT = 4096
PLANS_KEPT = 1024

_HOP_BY_HOP: dict[bytes, int] = {
    b"connection": CONNECTION,
    b"transfer-encoding": CODING,
    b"content-length": LENGTH,
    b"upgrade": UPGRADE,
    b"keep-alive": DROPPED,
    b"proxy-connection": DROPPED,
    b"http2-settings": DROPPED,
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

NOT_IN_TRAILERS = frozenset(
    {
        # what the content is
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"trailer",
        # who asks, and what is remembered of whom
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"www-authenticate",
        # what the request or the answer means, and whether it applies
        b"age",
        b"cache-control",
        b"expires",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"location",
        b"max-forwards",
        b"pragma",
        b"range",
        b"retry-after",
        b"vary",
    }
)
"""Beside framing and routing (RFC 9110 section 6.5.1): whoever merges trailers into the head is not misled by them."""


class HeadPlan:
    """What a sequence of header names means.

    `kept`: positions of the lines that travel on. `noted`: position and lower-case name of what the director finds
    quickly, the first of each name. `length`, `date`: position, -1 when absent. `has_care`: framing or
    hop-by-hop lines are among them.
    `is_verbatim`: every line travels on, so the raw bytes of the head can.
    """

    __slots__ = ("date", "has_care", "has_host", "has_one_host", "is_verbatim", "kept", "kinds", "length", "noted")

    def __init__(self, names: tuple[bytes, ...], kinds: HeaderKinds) -> None:
        self.kinds = tuple(kinds[name] for name in names)
        self.kept = tuple(position for position, kind in enumerate(self.kinds) if kind < STRIPPED or kind == EXPECT)
        firsts: dict[bytes, int] = {}
        for position, name in enumerate(names):
            if NOTED <= self.kinds[position] <= EXPECT:
                firsts.setdefault(name.lower(), position)
        self.noted = tuple((position, lower) for lower, position in firsts.items())
        self.has_one_host = self.kinds.count(HOST) == 1
        self.has_host = HOST in self.kinds
        self.length = self._only(LENGTH)
        self.date = self._only(DATE)
        self.has_care = any(kind >= EXPECT for kind in self.kinds)
        self.is_verbatim = all(kind < STRIPPED for kind in self.kinds)

    def _only(self, kind: int) -> int:
        return self.kinds.index(kind) if kind in self.kinds else -1


class HeaderKinds(dict[bytes, int]):
    """Header name in any spelling → kind; spellings are classified on first use, and a bounded number is kept."""

    def __init__(self, kinds: dict[bytes, int], prefixes: tuple[bytes, ...] = ()) -> None:
        super().__init__()
        self._kinds = kinds
        self._prefixes = prefixes
        self.plans: dict[tuple[bytes, ...], HeadPlan] = {}

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        kind = self._kinds.get(lower, PASS)
        if kind in (PASS, NOTED) and self._prefixes and lower.startswith(self._prefixes):
            kind = STRIPPED
        if len(self) < SPELLINGS_KEPT and len(name) <= 64:
            self[name] = kind
        return kind

    def plan(self, names: tuple[bytes, ...]) -> HeadPlan:
        """Work out the plan for names that have none; the kept ones are in `plans`."""
        plan = HeadPlan(names, self)
        if len(names) <= 64:
            if len(self.plans) >= PLANS_KEPT:
                self.plans.clear()  # whoever sends ever new shapes pays for them; the common ones are back at once
            self.plans[names] = plan
        return plan


def request_kinds(strip: frozenset[bytes], strip_prefixes: tuple[bytes, ...]) -> HeaderKinds:
    """Build the rules of one director; framing and hop-by-hop headers cannot be overridden."""
    stripped = dict.fromkeys(strip, STRIPPED)
    fixed = {name: kind for name, kind in _REQUEST.items() if kind not in (NOTED, EXPECT)}
    return HeaderKinds(_REQUEST | stripped | fixed, strip_prefixes)


def answer_kinds(strip_prefixes: tuple[bytes, ...] = ()) -> HeaderKinds:
    """Build the rules of answers; headers with these lower-case prefixes are not passed on."""
    return HeaderKinds(dict(_ANSWER), strip_prefixes)


ANSWER_KINDS: Final = answer_kinds()
"""Of upstreams that may say everything: hops of ours."""


def clean_trailers(trailers: tuple[tuple[bytes, bytes], ...], kinds: HeaderKinds) -> tuple[tuple[bytes, bytes], ...]:
    """Keep the trailer lines that may travel on: no framing, routing, stripped or content-describing fields."""
    return tuple(
        line for line in trailers if kinds[line[0]] in (PASS, NOTED) and line[0].lower() not in NOT_IN_TRAILERS
    )
