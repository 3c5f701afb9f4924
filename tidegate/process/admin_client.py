"""Asks the admin port of another process for one page: bounded in time and size, one connection for each.

The other half of `admin`, as small: no pool, no redirects, no TLS. What a page says is its reader's business.
"""

from __future__ import annotations

import asyncio

from tidegate.process.admin import Page

PAGE_LIMIT_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20


async def get(host: str, port: int, target: str, timeout_s: float, limit_bytes: int = PAGE_LIMIT_BYTES) -> Page | None:
    """Return the page at `target` (path and query); None when there is no answer of HTTP in time, or a longer one."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("ascii"))
                answer = await _read(reader, limit_bytes)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return Page(int(words[1]), body) if len(words) > 1 and words[1].isdigit() else None


async def _read(reader: asyncio.StreamReader, limit_bytes: int) -> bytes:
    """Read to the end; nothing when it is longer than `limit_bytes`."""
    pieces, length = [], 0
    while piece := await reader.read(_PIECE_BYTES):
        pieces.append(piece)
        length += len(piece)
        if length > limit_bytes:
            return b""
    return b"".join(pieces)
