"""Answers that the engine writes itself: status line, reason header, body in the form the request asked for. No I/O."""

from __future__ import annotations

import json

from tidegate.contracts import outcomes
from tidegate.wire.answer_head import STATUS_LINES, date_line
from tidegate.wire.director import Answer, Failure, Request

_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"

_FINAL_REASONS: dict[Failure, outcomes.Reason] = {
    Failure.CONNECT: outcomes.UPSTREAM_CONNECT_FAILED,
    Failure.CERTIFICATE: outcomes.UPSTREAM_CERTIFICATE_REFUSED,
    Failure.STALE: outcomes.UPSTREAM_FAILED,
    Failure.UPSTREAM: outcomes.UPSTREAM_FAILED,
    Failure.TIMEOUT_START: outcomes.RESPONSE_START_TIMEOUT,
    Failure.TIMEOUT_IDLE: outcomes.IDLE_TIMEOUT,
    Failure.TIMEOUT_TOTAL: outcomes.REQUEST_TIMEOUT,
    Failure.TIMEOUT_BODY: outcomes.BODY_TIMEOUT,
    Failure.BAD_REQUEST: outcomes.BAD_REQUEST,
    Failure.DRAINED: outcomes.DRAINING,
}


def answer_of(
    reason: outcomes.Reason, detail: str = "", context: object = None, *, text: bytes | None = None
) -> Answer:
    """Return the answer for a reason, with its status, text (and `detail` behind a colon) and `Retry-After`.

    `text` replaces the reason's own, where others compare it byte for byte.
    """
    if text is None:
        text = (f"{reason.text}: {detail}" if detail else reason.text).encode()
    headers = ((b"Retry-After", b"%d" % reason.retry_after_s),) if reason.retry_after_s else ()
    return Answer(reason.status, reason.code, text, headers, context)


def answer_of_failure(failure: Failure) -> Answer:
    """Return what a failure is answered with when nothing of an answer was sent (CLIENT_GONE has no answer)."""
    return answer_of(_FINAL_REASONS[failure])


def connection_line(request: Request | None, keep_alive: bool) -> bytes:
    """Return the Connection line that the client's version needs, often none."""
    if not keep_alive:
        return _CLOSE
    return _KEEP if request is not None and request.http_version == "1.0" else b""


def wants_json(request: Request) -> bool:
    """Tell whether the request asks for JSON, by Accept, or by the type of its own body where Accept says nothing."""
    accept = request.header(b"accept")
    if accept is not None and accept != b"*/*":
        return b"application/json" in accept.lower()
    return (request.header(b"content-type") or b"").lower().startswith(b"application/json")


def render(answer: Answer, request: Request | None, keep_alive: bool) -> bytes:
    """Return the whole answer as bytes; `request` is None when its head was refused."""
    body, content_type = answer.body, b"text/plain; charset=utf-8"
    if answer.reason and request is not None and wants_json(request):
        body = json.dumps({"error": body.decode("utf-8", "replace"), "reason": answer.reason}).encode()
        content_type = b"application/json"
    lines = [STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d \r\n" % answer.status]
    if answer.reason:
        lines.append(b"X-Tidegate-Reason: %b\r\n" % answer.reason.encode())
    lines += [b"%b: %b\r\n" % header for header in answer.headers]
    if body and not any(name.lower() == b"content-type" for name, _ in answer.headers):
        lines.append(b"Content-Type: %b\r\n" % content_type)
    if answer.status >= 200 and answer.status not in (204, 304):
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines += (date_line(), connection_line(request, keep_alive), b"\r\n")
    if request is None or request.method != b"HEAD":
        lines.append(body)
    return b"".join(lines)
