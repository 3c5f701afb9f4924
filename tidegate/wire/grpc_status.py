"""The gRPC status of an answer that Tidegate makes itself, as gRPC's clients expect it. Pure.

A gRPC client looks at `grpc-status` first; what an HTTP status alone would mean to it (gRPC's http-grpc-status-mapping)
is coarser. Lateness is DEADLINE_EXCEEDED, everything that may be tried again later or elsewhere UNAVAILABLE.
"""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from tidegate.contracts import outcomes
from tidegate.wire.director import Answer, HeaderLine, Request

UNKNOWN = 2
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14

_OF_REASON = {
    outcomes.UNKNOWN_REVISION.code: NOT_FOUND,
    outcomes.QUEUE_FULL.code: RESOURCE_EXHAUSTED,
    outcomes.WAITING_ROOM_FULL.code: RESOURCE_EXHAUSTED,
    outcomes.HEAD_TOO_LARGE.code: RESOURCE_EXHAUSTED,
    outcomes.REQUEST_TIMEOUT.code: DEADLINE_EXCEEDED,
    outcomes.RESPONSE_START_TIMEOUT.code: DEADLINE_EXCEEDED,
    outcomes.IDLE_TIMEOUT.code: DEADLINE_EXCEEDED,
    outcomes.ACTIVATION_TIMEOUT.code: DEADLINE_EXCEEDED,
}
_OF_STATUS = {400: INTERNAL, 404: UNIMPLEMENTED, 429: UNAVAILABLE, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: UNAVAILABLE}
_OF_STATUS |= {301: UNIMPLEMENTED, 414: INTERNAL, 417: INTERNAL, 500: INTERNAL, 501: UNIMPLEMENTED, 408: UNAVAILABLE}


def is_grpc(request: Request) -> bool:
    """Tell whether this is a gRPC call: `application/grpc`, alone or with `+proto` and the like, by HTTP/2."""
    kind = request.index.get(b"content-type", b"")
    return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";") and request.http_version == "2"


def code_of(reason: str, status: int) -> int:
    """Return the gRPC status for an answer with this reason and HTTP status."""
    return _OF_REASON.get(reason) or _OF_STATUS.get(status, UNKNOWN)


def trailers_only(answer: Answer) -> list[HeaderLine]:
    """Return the headers of the answer to a gRPC call: HTTP status 200, for the failure is in `grpc-status`."""
    message = quote_from_bytes(answer.body, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")
    return [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % code_of(answer.reason, answer.status)),
        (b"grpc-message", message.encode("ascii")),
        (b"x-tidegate-reason", answer.reason.encode()),
        *((name.lower(), value) for name, value in answer.headers),
    ]
