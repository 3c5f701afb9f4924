"""Header blocks of HTTP/2 to header lists (HPACK, RFC 7541), one decoder per connection and direction. Pure.

The static table and the Huffman code are the `hpack` library's; its decoder takes several times as long. Huffman
strings come again and again, so a bounded number of them is remembered for all connections.
"""

from __future__ import annotations

from collections import deque

from hpack.table import HeaderTable

from tidegate.wire import hpack_huffman
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_settings import HEADER_TABLE_BYTES

Header = tuple[bytes, bytes]

STATIC: tuple[Header, ...] = ((b"", b""), *HeaderTable.STATIC_TABLE)
STATIC_COUNT = len(STATIC)
OVERHEAD_BYTES = 32
"""What an entry of a table or of a header list counts beyond its name and value."""
BOMB_FACTOR = 4
LARGEST_INTEGER = 1 << 24
STRINGS_KEPT = 4096
STRING_KEPT_BYTES = 128

_strings: dict[bytes, bytes] = {}


class Decoder:
    """Decodes the header blocks of one direction in their order.

    `changes` counts what changed the dynamic table: a block that changed nothing means the same as long as it stands.
    `list_bytes`: of the last block's header list, as RFC 7541 section 4.1 counts. `is_too_large` says so of it; its
    list is cut short.
    """

    __slots__ = ("_bytes", "_dynamic", "_list_limit_bytes", "_room_bytes", "changes", "is_too_large", "list_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._list_limit_bytes = limit_bytes
        self._dynamic: deque[Header] = deque()
        self._bytes = 0
        self._room_bytes = HEADER_TABLE_BYTES
        self.changes = 0
        self.is_too_large = False
        self.list_bytes = 0

    def decode(self, block: bytes) -> list[Header]:
        """Return the headers of a block. Raises ConnectionFailed when it is not valid, or many times too large."""
        try:
            return self._decode(block)
        except IndexError as error:
            raise ConnectionFailed(ErrorCode.COMPRESSION_ERROR, "a header block is not valid") from error

    def _decode(self, block: bytes) -> list[Header]:
        found: list[Header] = []
        position, size = 0, len(block)
        counted = 0
        self.is_too_large = False
        while position < size:
            first = block[position]
            if 0x80 < first < 0x80 | STATIC_COUNT:  # an entry of the static table, said in one byte: most are
                header = STATIC[first & 0x7F]
                position += 1
            elif first & 0x80:  # an entry of a table
                index, position = _integer(block, position, 0x7F)
                header = self._entry(index)
            elif first & 0x40:  # a literal that enters the table
                header, position = self._literal(block, position, 0x3F)
                self._insert(header)
            elif first & 0x20:  # a new size of the table
                if found or counted:
                    raise IndexError("a table size behind headers")
                limit_bytes, position = _integer(block, position, 0x1F)
                self._resize(limit_bytes)
                continue
            else:
                header, position = self._literal(block, position, 0x0F)
            counted += len(header[0]) + len(header[1]) + OVERHEAD_BYTES
            if counted <= self._list_limit_bytes:
                found.append(header)
            else:
                self._overflow(counted)
        self.list_bytes = counted
        return found

    def _overflow(self, counted: int) -> None:
        self.is_too_large = True
        if counted > self._list_limit_bytes * BOMB_FACTOR:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "a header list is far too large", flood="headers")

    def _entry(self, index: int) -> Header:
        if index < STATIC_COUNT:
            if index == 0:
                raise IndexError("no entry has the index 0")
            return STATIC[index]
        return self._dynamic[index - STATIC_COUNT]

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Header, int]:
        index, position = _integer(block, position, mask)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return (name, value), position

    def _insert(self, header: Header) -> None:
        self.changes += 1
        self._bytes += len(header[0]) + len(header[1]) + OVERHEAD_BYTES
        self._dynamic.appendleft(header)
        self._evict()

    def _resize(self, limit_bytes: int) -> None:
        if limit_bytes > HEADER_TABLE_BYTES:
            raise IndexError("a table larger than allowed")
        self.changes += 1
        self._room_bytes = limit_bytes
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._room_bytes:
            name, value = self._dynamic.pop()
            self._bytes -= len(name) + len(value) + OVERHEAD_BYTES


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """Return an integer whose first bits share a byte (RFC 7541 section 5.1), and the position behind it."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if value > LARGEST_INTEGER or shift > 28:
            raise IndexError("an integer is too large")
        if byte < 0x80:
            return value, position
        shift += 7


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    is_huffman = block[position] & 0x80
    size, position = _integer(block, position, 0x7F)
    end = position + size
    if end > len(block):
        raise IndexError("a string ends behind its block")
    raw = block[position:end]
    if is_huffman:
        raw = _strings.get(raw) or _huffman(raw)
    return raw, end


def _huffman(raw: bytes) -> bytes:
    text = hpack_huffman.decode(raw)
    if len(raw) <= STRING_KEPT_BYTES:
        if len(_strings) >= STRINGS_KEPT:
            _strings.clear()
        _strings[raw] = text
    return text
