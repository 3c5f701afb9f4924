"""A request and a reply of the model server's HTTP side, and how a reply's head is written (pure).

Heads that repeat are built once per status and media type.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from runtimes.failures import InferenceError

JSON = b"application/json"
BINARY = b"application/octet-stream"
EVENTS = b"text/event-stream; charset=utf-8"
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Request:
    """One request: `path` is decoded ASCII without its query, header names are lower-case."""

    method: bytes
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes


@dataclass(slots=True)
class Reply:
    """One answer: a body, or with `stream` pieces that are written as chunks as they come."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: bytes = b""
    stream: AsyncIterator[bytes] | None = None


def json_reply(document: object, status: int = 200) -> Reply:
    """Return `document` as JSON."""
    return Reply(status, _encode(document))


def error_reply(error: InferenceError) -> Reply:
    """Return the error body that every client of these protocols reads: `{"error", "reason"}`."""
    codes = error.codes
    headers = b"Retry-After: %d\r\n" % codes.retry_after_s if codes.retry_after_s else b""
    return Reply(codes.http, _encode({"error": str(error), "reason": error.kind.value}), headers=headers)


@functools.lru_cache(64)
def _start(status: int, content_type: bytes) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Client Closed Request" if status == 499 else "Unknown"
    return b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\n" % (status, phrase.encode(), content_type)


def head(reply: Reply, *, is_last: bool) -> bytes:
    """Return the head of a reply."""
    close = b"Connection: close\r\n" if is_last else b""
    framing = (
        b"Transfer-Encoding: chunked\r\n" if reply.stream is not None else b"Content-Length: %d\r\n" % len(reply.body)
    )
    return b"".join((_start(reply.status, reply.content_type), reply.headers, close, framing, b"\r\n"))


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of the listener. Bodies: one request's, and all that are in memory together; times in seconds."""

    head_bytes: int = 65_536
    body_bytes: int = 64 << 20
    buffered_bytes: int = 512 << 20
    pipelined: int = 16
    connections: int = 4096
    request_timeout_s: float = 60.0
    keep_alive_s: float = 75.0
    write_timeout_s: float = 30.0
    drain_s: float = 30.0


@dataclass(slots=True)
class Totals:
    """What the listener counts for all connections together."""

    connections: int = 0
    buffered_bytes: int = 0
    requests: int = 0
    refused: dict[str, int] = field(default_factory=dict)
