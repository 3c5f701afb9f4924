"""A request's body on its way: kept while no upstream is there, passed on piece by piece afterwards.

At most the high watermark (and what one read brought beyond it) is kept; then the client is not read any further.
Pieces are passed as they came, re-framed where they are chunks. Heads, retries and answers are not its matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.wire import chunked
from tidegate.wire.client_socket import Pause

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.upstream_side import UpstreamConnection

JOIN_LIMIT_BYTES = 16 * 1024
"""Up to here a kept body is sent in one write with its head."""


class RequestBody:
    """The body of one request."""

    __slots__ = ("_client", "_is_chunked", "_kept", "_kept_bytes", "_upstream", "is_done", "is_sent")

    def __init__(self, client: ClientConnection, length: int) -> None:
        self._client = client
        self._is_chunked = length == chunked.CHUNKED
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._upstream: UpstreamConnection | None = None
        self.is_done = False
        self.is_sent = False
        """Whether any of it was written to an upstream: then no other may get this request."""

    def take(self, pieces: list[bytes], trailers: tuple[tuple[bytes, bytes], ...], *, is_last: bool) -> None:
        """Take payload pieces from the client."""
        self.is_done = is_last
        if self._is_chunked:
            pieces = chunked.encode_chunks(pieces)
            if is_last:
                pieces.append(chunked.encode_last(trailers))
        if not pieces:
            return
        if self._upstream is not None:
            self.is_sent = True
            self._upstream.transport.writelines(pieces)
            return
        self._kept += pieces
        self._kept_bytes += sum(map(len, pieces))
        if self._kept_bytes > self._client.limits.body_high_bytes:
            self._client.pause(Pause.BODY)

    def send(self, upstream: UpstreamConnection, head: bytes) -> None:
        """Write the head and what is kept; the rest follows by `take`."""
        self._upstream = upstream
        kept, self._kept = self._kept, []
        self.is_sent = bool(kept)
        if kept and self._kept_bytes <= JOIN_LIMIT_BYTES:
            upstream.transport.write(b"".join((head, *kept)))
        else:
            upstream.transport.writelines((head, *kept))
        self._kept_bytes = 0
        if not upstream.is_paused:
            self._client.resume(Pause.BODY)

    def detach(self) -> None:
        """Stop passing on: the upstream is gone. What comes now is kept for the next one, if there is one."""
        self._upstream = None
