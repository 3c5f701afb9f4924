"""May a request be sent a second time after its connection was lost? Only when nothing of it can have had an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidegate.wire.director import Request

if TYPE_CHECKING:
    from tidegate.wire.h2_upstream import UpstreamStream
    from tidegate.wire.request_body import RequestBody
    from tidegate.wire.upstream_side import UpstreamConnection

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})


def may_repeat(request: Request, body: RequestBody | None, upstream: UpstreamConnection | UpstreamStream) -> bool:
    """Tell so for a request without an answer: its body is still here, and the upstream did nothing with it."""
    if body is not None and body.is_sent:
        return False
    if upstream.is_unprocessed:
        return True
    # A connection that was used before may have been closed just as the request was written.
    return upstream.is_reused and not upstream.has_answered and request.method in IDEMPOTENT
