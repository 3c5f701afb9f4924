"""Huffman strings of HPACK (RFC 7541 section 5.2), read a byte at a time. Pure.

The `hpack` library's table steps by four bits. Two of its steps are joined into one the first time they are needed: of
the 65,536 that there are, text uses some thousands.
"""

from __future__ import annotations

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

_BAD = -1
Step = tuple[int, bytes, bool]
"""The next state, the bytes that are complete, and whether a string may end here."""


class _Steps(dict[int, Step]):
    """Steps by state and byte."""

    def __missing__(self, key: int) -> Step:
        state, byte = key >> 8, key & 0xFF
        text, is_complete = b"", False
        for half in (byte >> 4, byte & 0x0F):
            state, flags, symbol = HUFFMAN_TABLE[state * 16 + half]
            if flags & HUFFMAN_FAIL:
                self[key] = (_BAD, b"", False)
                return self[key]
            if flags & HUFFMAN_EMIT_SYMBOL:
                text += bytes((symbol,))
            is_complete = bool(flags & HUFFMAN_COMPLETE)
        self[key] = (state, text, is_complete)
        return self[key]


_steps = _Steps()


def decode(raw: bytes) -> bytes:
    """Return the text of a Huffman string. Raises IndexError when it is none."""
    state, is_complete, steps = 0, True, _steps
    found = []
    for byte in raw:
        state, text, is_complete = steps[state << 8 | byte]
        if state < 0:
            break
        found.append(text)
    if state < 0 or not is_complete:
        raise IndexError("a Huffman string is not valid")
    return b"".join(found)
