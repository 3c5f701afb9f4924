"""One GET or one connect to see whether somebody is there: the client side of readiness probes.

Small on purpose: one connection per call, no pool, no redirects, a bounded answer. It decides nothing about
readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidegate.wire.upstream_tls import UpstreamTls

ANSWER_LIMIT_BYTES = 4096


async def connect(host: str, port: int, timeout_s: float) -> None:
    """Return when `host:port` accepts a connection; raises OSError or TimeoutError."""
    async with asyncio.timeout(timeout_s):
        _reader, writer = await asyncio.open_connection(host, port)
    writer.close()


async def get(
    host: str, port: int, path: str, headers: Sequence[tuple[str, str]], timeout_s: float
) -> tuple[int, bytes]:
    """Return (status, first bytes of the body) of a GET; raises like `ask`."""
    status, _, body = await ask(host, port, path, headers, timeout_s)
    return status, body


async def ask(
    host: str,
    port: int,
    path: str,
    headers: Sequence[tuple[str, str]],
    timeout_s: float,
    tls: UpstreamTls | None = None,
) -> tuple[int, bytes, bytes]:
    """Return (status, head, first bytes of the body) of a GET, over TLS where that is given.

    Raises OSError or TimeoutError when nobody answers, ValueError when the answer is not HTTP.
    """
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
    async with asyncio.timeout(timeout_s):
        options = {} if tls is None else tls.options()
        reader, writer = await asyncio.open_connection(host, port, limit=ANSWER_LIMIT_BYTES, **options)
        try:
            writer.write("\r\n".join(lines).encode("latin-1"))
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise ValueError("no HTTP answer") from error
            return _status(head), head, await reader.read(ANSWER_LIMIT_BYTES)
        finally:
            writer.close()


def value_of(head: bytes, name: bytes) -> bytes:
    """Return the value of the first header of this lower-case name in a head, empty when there is none."""
    for line in head.split(b"\r\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key.lower() == name:
            return value.strip()
    return b""


def _status(head: bytes) -> int:
    version, status = head.split(b" ", 2)[:2]
    if not version.startswith(b"HTTP/1."):
        raise ValueError("no HTTP answer")
    return int(status[:3])
