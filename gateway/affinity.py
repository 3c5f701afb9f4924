"""Session affinity: which pod a client's requests go to, where a revision asks for it. Best effort.

Pure. With a cookie, its value names the pod: a keyed hash of the pod's address, which tells nobody the address and is
the same in every gateway. With a header, the pod follows from the header's value by rendezvous hashing, so that few
sessions move when pods come and go. A pod that is full or has more than its share is passed over by `share_limit`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable

from tidegate.contracts import session_affinity
from tidegate.wire.balance import Address
from tidegate.wire.director import Request

NAME = b"tidegate-affinity"
SHARE_FACTOR = 1.25
SHARE_FLOOR = 8
"""Requests in flight that are never too many: a browser opens six connections, and must not be torn apart when idle."""

_COOKIE = re.compile(rb"(?:^|;\s*)" + NAME + rb"=([0-9a-f]{24})\s*(?:;|$)")
_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15


class Sessions:
    """The pods of one revision, by session. `secret`: bytes that clients do not know and all gateways do."""

    __slots__ = ("_by_token", "_header", "_secret", "_seeds", "_tokens")

    def __init__(self, annotation: str, secret: bytes) -> None:
        """Raises ValueError when the annotation says nothing that exists."""
        header = session_affinity.parse(annotation)
        self._header = b"" if header == session_affinity.COOKIE else header.encode()
        self._secret = secret[:64]
        self._by_token: dict[bytes, Address] = {}
        self._tokens: dict[Address, bytes] = {}
        self._seeds: dict[Address, int] = {}

    def replace(self, addresses: Iterable[Address]) -> None:
        """Know exactly these pods from now on."""
        digests = {address: self._digest(f"{address[0]}:{address[1]}".encode()) for address in addresses}
        self._tokens = {address: digest.hex().encode() for address, digest in digests.items()}
        self._by_token = {token: address for address, token in self._tokens.items()}
        self._seeds = {address: int.from_bytes(digest[:8], "big") for address, digest in digests.items()}

    def wish(self, request: Request) -> Address | None:
        """Return the pod that the request's session belongs to; None when it has no session or the pod is gone."""
        if not self._header:
            match = _COOKIE.search(request.header(b"cookie") or b"")
            return self._by_token.get(match[1]) if match else None
        value = request.header(self._header)
        if not value or not self._seeds:
            return None
        key = int.from_bytes(self._digest(value)[:8], "big")
        return max(self._seeds.items(), key=lambda entry: (_mix(entry[1] ^ key), entry[0]))[0]

    def cookie_line(self, address: Address, *, is_secure: bool) -> bytes:
        """Return the Set-Cookie line that ties a session to a pod, empty where a header does."""
        token = self._tokens.get(address)
        if self._header or token is None:
            return b""
        return b"Set-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax%b\r\n" % (
            NAME,
            token,
            b"; Secure" if is_secure else b"",
        )

    def _digest(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, digest_size=12, key=self._secret).digest()


def share_limit(in_flight: int, pods: int) -> int:
    """Return how many requests a pod may have in flight before sessions pass it over.

    Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): the fair share of everything in
    flight, this request included, times `SHARE_FACTOR`; at least `SHARE_FLOOR`.
    """
    return max(SHARE_FLOOR, math.ceil(SHARE_FACTOR * (in_flight + 1) / max(pods, 1)))


def _mix(value: int) -> int:
    value = (value * _ODD) & _MASK
    return ((value ^ (value >> 32)) * _ODD) & _MASK
