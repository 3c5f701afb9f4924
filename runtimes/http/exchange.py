"""What every protocol's handler does around an inference: body out of the request, deadline, body into the reply."""

from __future__ import annotations

import math
import time
from typing import Any

from runtimes.failures import InferenceError, Kind, bad_input
from runtimes.http import compression
from runtimes.http.messages import JSON, Reply, Request

COMPRESS_FROM_BYTES = 1024


def must_be(request: Request, *methods: bytes) -> None:
    """Raise a 405 unless the request's method is one of these (HEAD goes with GET)."""
    if request.method in methods or (request.method == b"HEAD" and b"GET" in methods):
        return
    wanted = " or ".join(method.decode() for method in methods)
    raise InferenceError(Kind.METHOD_NOT_ALLOWED, f"use {wanted} for {request.path}")


def body_of(request: Request, limit_bytes: int) -> bytes:
    """Return the body as it was before compression; raises 400, 413 or 501."""
    encoding = request.headers.get(b"content-encoding")
    return request.body if encoding is None else compression.decompress(request.body, encoding, limit_bytes)


def header_length(request: Request) -> int | None:
    """Return the length of the JSON part of a body with binary tensors, None without that header; raises a 400."""
    text = request.headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise bad_input(f"Inference-Header-Content-Length {text.decode('latin-1')!r} is not a number")
    return int(text)


def deadline_of(parameters: dict[str, Any]) -> float:
    """Return when a request is late, by its `timeout` in microseconds (schedule policy extension); infinite without."""
    timeout = parameters.get("timeout")
    if timeout is None:
        return math.inf
    if type(timeout) is not int or timeout < 0:
        raise bad_input(f"parameters.timeout {timeout!r} is not a number of microseconds")
    return time.monotonic() + timeout / 1e6 if timeout else math.inf


def reply_with(
    request: Request, body: bytes, content_type: bytes = JSON, headers: bytes = b"", status: int = 200
) -> Reply:
    """Return a 200 with this body, compressed where the client asked for it and it pays."""
    accepted = request.headers.get(b"accept-encoding")
    if accepted is not None and len(body) >= COMPRESS_FROM_BYTES:
        chosen = compression.choose(accepted)
        if chosen:
            headers += b"Content-Encoding: %s\r\nVary: Accept-Encoding\r\n" % chosen.encode()
            return Reply(status, compression.compress(body, chosen), content_type, headers)
    return Reply(status, body, content_type, headers)
