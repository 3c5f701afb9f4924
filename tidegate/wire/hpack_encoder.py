"""Header lists to header blocks of HTTP/2 (HPACK, RFC 7541), without a dynamic table. Pure.

A block that uses no dynamic table means the same on every connection, at any time. So each line is encoded once for all
of them, and a peer that remembers blocks by their bytes (ours does) finds it. What that costs is bytes: about 200 more
per head than with a table. Credentials are marked as never to be indexed (section 7.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable

from hpack.table import HeaderTable

Header = tuple[bytes, bytes]

LINES_KEPT = 4096
LINE_KEPT_BYTES = 512
EMPTY_TABLE = b"\x20"
"""Says that the block's table has no room: for a peer that shrunk it."""

_HTTP1_ONLY = frozenset({b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection", b"host"})
_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})
_STATIC = HeaderTable.STATIC_TABLE_MAPPING


def encode_header(name: bytes, value: bytes) -> bytes:
    """Return the representation of one header; its name is in lower case."""
    known = _STATIC.get(name)
    if known is not None:
        index = known[1].get(value)
        if index is not None:
            return bytes((0x80 | index,))  # the static table has 61 entries
    kind = 0x10 if name in _SECRET else 0x00
    named = _integer(known[0], 0x0F, kind) if known is not None else bytes((kind,)) + _string(name)
    return named + _string(value)


def encode_path(target: bytes) -> bytes:
    """Return the representation of `:path`. Targets differ more than anything else: none is remembered."""
    return b"\x04" + _integer(len(target), 0x7F, 0x00) + target  # the name is entry 4 of the static table


def _string(text: bytes) -> bytes:
    return _integer(len(text), 0x7F, 0x00) + text


def _integer(value: int, mask: int, first: int) -> bytes:
    """Return an integer whose first bits share a byte with `first` (RFC 7541 section 5.1)."""
    if value < mask:
        return bytes((first | value,))
    value -= mask
    out = bytearray((first | mask,))
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Headers(dict[Header, bytes]):
    """Headers that were encoded; a bounded number is kept."""

    def __missing__(self, header: Header) -> bytes:
        encoded = encode_header(*header)
        if len(encoded) <= LINE_KEPT_BYTES:
            if len(self) >= LINES_KEPT:
                self.clear()  # whoever sends ever new lines pays for them; the common ones are back at once
            self[header] = encoded
        return encoded


class _Lines(dict[bytes, bytes]):
    """HTTP/1.1 header lines that were encoded; what only HTTP/1.1 has is nothing here."""

    def __missing__(self, line: bytes) -> bytes:
        name, colon, value = line.partition(b":")
        lower = name.lower()
        encoded = b"" if not colon or lower in _HTTP1_ONLY else encode_header(lower, value.strip(b" \t"))
        if len(line) <= LINE_KEPT_BYTES:
            if len(self) >= LINES_KEPT:
                self.clear()
            self[line] = encoded
        return encoded


_headers = _Headers()
_lines = _Lines({b"": b""})


def encode(headers: Iterable[Header]) -> bytes:
    """Return the block of a header list; names are in lower case."""
    return b"".join(map(_headers.__getitem__, headers))


def encode_lines(lines: bytes) -> bytes:
    """Return the block of HTTP/1.1 header lines, each ending in CRLF; names may have any case."""
    return b"".join(map(_lines.__getitem__, lines.split(b"\r\n")))
