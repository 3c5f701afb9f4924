"""JSON texts that are alike, as a few bytes each: the text without what differs is kept once, as a template.

What differs from one object to the next is its name and what is derived from it, its ids, its resource version and its
times. Those are cut out, leaving a mark (control characters, which JSON texts do not have) and are kept in as few bytes
as they need; names not at all, as whoever asks knows the name. A text whose template would be one too many is
compressed instead. Pure.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache

LIMIT = 4096
"""Templates that are kept: those of the first texts, at most some megabytes."""
COMPRESSED = 0xFFFF
WINDOW_BITS = -12
"""Raw, with a window of 4 KB: objects are smaller, and the compressor's state stays small."""
LEVEL = 6

UUID, TIME, SAME_TIME, VERSION = b"\x01", b"\x02", b"\x03", b"\x04"
PREFIXES = (b"\x05", b"\x06", b"\x07", b"\x0b")
"""Marks of the name, and of the name without its last parts: revisions are named for services, pods for revisions."""
UUID_BYTES, TIME_BYTES, VERSION_BYTES = 16, 5, 6

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_FIELD = b'"resourceVersion":"'
_DIFFERENCES = re.compile(
    rb'"(?:(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})'
    rb"|(?P<time>(?:19[7-9]\d|20\d\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    rb'|resourceVersion":"(?P<version>[1-9]\d{0,13}))(?=")'
)
"""Begins with a quotation mark in any case, so that a search looks at those alone."""
_MARKS = re.compile(rb"([\x01-\x07\x0b])")


class Templates:
    """The templates of one kind of object."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = min(limit, COMPRESSED)
        self._number: dict[bytes, int] = {}
        self._texts: list[list[bytes]] = []
        """Templates, cut at their marks: text and mark by turns."""
        self._common = b""
        """What the compressor takes as known: the first text of all."""

    def __len__(self) -> int:
        return len(self._texts)

    def pack(self, name: str, text: bytes) -> bytes:
        """Return a JSON text without white space, of an object of this name, in few bytes."""
        self._common = self._common or text
        template, values = _cut(name, text)
        number = self._number.get(template)
        if number is None:
            if len(self._texts) >= self._limit:
                return COMPRESSED.to_bytes(2) + self._compress(text)
            number = self._number[template] = len(self._texts)
            self._texts.append(_MARKS.split(template))
        return number.to_bytes(2) + values

    def unpack(self, name: str, packed: bytes) -> bytes:
        """Return the text that `pack` was given with the same name."""
        number = int.from_bytes(packed[:2])
        if number == COMPRESSED:
            unpacker = zlib.decompressobj(WINDOW_BITS, zdict=self._common)
            return unpacker.decompress(packed[2:]) + unpacker.flush()
        return _filled(self._texts[number], packed, 2, _prefixes(name))

    def _compress(self, text: bytes) -> bytes:
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, 4, zdict=self._common)
        return packer.compress(text) + packer.flush()


def _prefixes(name: str) -> list[bytes]:
    """Return a name and what is left of it without its last parts, the longest first."""
    prefixes = [name]
    while len(prefixes) < len(PREFIXES) and "-" in prefixes[-1]:
        prefixes.append(prefixes[-1].rpartition("-")[0])
    return [prefix.encode() for prefix in prefixes if prefix]


def _cut(name: str, text: bytes) -> tuple[bytes, bytes]:
    """Return a text's template, and what was cut out of it."""
    values: list[bytes] = []
    last = b""

    def cut(found: re.Match[bytes]) -> bytes:
        nonlocal last
        kind = found.lastgroup or ""
        value: bytes = found[kind]
        if kind == "uuid":
            values.append(bytes.fromhex(value.replace(b"-", b"").decode()))
            return b'"' + UUID
        if kind == "version":
            values.append(int(value).to_bytes(VERSION_BYTES))
            return _VERSION_FIELD + VERSION
        if value == last:
            return b'"' + SAME_TIME
        packed = _packed_time(value)
        if packed is None:
            return found[0]
        last = value
        values.append(packed)
        return b'"' + TIME

    template = _DIFFERENCES.sub(cut, text)
    # Names come last: a short one also begins words, and ids, that are to be found.
    for mark, prefix in zip(PREFIXES, _prefixes(name), strict=False):
        template = template.replace(b'"' + prefix, b'"' + mark)
    return template, b"".join(values)


def _filled(template: list[bytes], packed: bytes, at: int, prefixes: list[bytes]) -> bytes:
    """Return a text with its name, and with its values, which begin at `at`."""
    parts, last = template.copy(), b""
    for place in range(1, len(parts), 2):
        mark = parts[place]
        if mark == UUID:
            begin, at = at, at + UUID_BYTES
            digits = packed[begin:at].hex()
            parts[place] = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
        elif mark == VERSION:
            begin, at = at, at + VERSION_BYTES
            parts[place] = str(int.from_bytes(packed[begin:at])).encode()
        elif mark == TIME:
            begin, at = at, at + TIME_BYTES
            parts[place] = last = _time_text(packed[begin:at])
        elif mark == SAME_TIME:
            parts[place] = last
        else:
            parts[place] = prefixes[PREFIXES.index(mark)]
    return b"".join(parts)


@lru_cache(1024)
def _packed_time(text: bytes) -> bytes | None:
    """Return seconds since 1970; None where it is no time, or not written as one would be again."""
    try:
        time = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    packed = int((time - _EPOCH).total_seconds()).to_bytes(TIME_BYTES)
    return packed if _time_text(packed) == text else None


@lru_cache(1024)
def _time_text(packed: bytes) -> bytes:
    time = _EPOCH + timedelta(seconds=int.from_bytes(packed))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
