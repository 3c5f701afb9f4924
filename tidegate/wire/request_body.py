"""A request's body on its way: kept while no upstream is there, passed on piece by piece afterwards.

At most the high watermark (and what one read brought beyond it) is kept; then the client is not read any further.
Pieces are passed as they came, re-framed where they are chunks. Heads, retries and answers are not its matter.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from tidegate.wire import chunked
from tidegate.wire.client_socket import Pause
from tidegate.wire.director import HeaderLine

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.h2_client_stream import ClientStream
    from tidegate.wire.h2_upstream import UpstreamStream
    from tidegate.wire.upstream_side import UpstreamConnection

JOIN_LIMIT_BYTES: Final = 16 * 1024
"""Up to here a kept body is sent in one write with its head."""
LOOK_LIMIT_BYTES: Final = 65535
"""So much of a held body comes at least before its client must wait: the window of a new HTTP/2 stream."""


class RequestBody:
    """The body of one request."""

    __slots__ = (
        "_client",
        "_expects",
        "_is_chunked",
        "_kept",
        "_kept_bytes",
        "_look",
        "_look_bytes",
        "_trailers",
        "_upstream",
        "is_asked_for",
        "is_done",
        "is_sent",
    )

    def __init__(self, client: ClientConnection | ClientStream, length: int, *, expects: bool = False) -> None:
        self._client = client
        self._expects = expects  # 100-continue
        self._is_chunked = length == chunked.CHUNKED
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._look: asyncio.Future[bytes] | None = None
        self._look_bytes = 0
        self._trailers: tuple[HeaderLine, ...] = ()
        self._upstream: UpstreamConnection | UpstreamStream | None = None
        self.is_done = False
        self.is_asked_for = False
        """Whether an upstream said 100."""
        self.is_sent = False
        """Whether any of it was written to an upstream: then no other may get this request."""

    @property
    def is_attached(self) -> bool:
        """Whether an upstream takes what comes."""
        return self._upstream is not None

    @property
    def is_awaited(self) -> bool:
        """Whether an upstream waits for more, and the client has no reason to wait itself (for a 100)."""
        return self._upstream is not None and (self.is_sent or self.is_asked_for or not self._expects)

    def take(self, pieces: list[bytes], trailers: tuple[HeaderLine, ...], *, is_last: bool) -> None:
        """Take payload pieces from the client."""
        self.is_done = is_last
        if is_last:
            self._trailers = trailers
        if self._upstream is not None:
            self._write(self._upstream, pieces)
            return
        self._kept += pieces
        self._kept_bytes += sum(map(len, pieces))
        if self._kept_bytes > self._client.limits.body_high_bytes:
            self._client.pause(Pause.BODY)
        if self._look is not None:
            self._answer_look()

    def first(self, count: int) -> asyncio.Future[bytes]:
        """Return a future of the first `count` bytes (at most `LOOK_LIMIT_BYTES`, and what is read of a held body), of
        all where there are fewer.

        Only for a request that is held: nothing is taken away, an upstream gets it all. A client that waits for a 100
        before it sends its body is not waited for. The caller bounds the time and asks once at a time.
        """
        assert self._upstream is None and (self._look is None or self._look.done())
        self._look_bytes = min(count, LOOK_LIMIT_BYTES, self._client.limits.body_high_bytes)
        self._look = look = asyncio.get_running_loop().create_future()
        self._answer_look()
        return look

    def _answer_look(self) -> None:
        look = self._look
        if look is None:
            return
        if look.done():  # cancelled: who asked has left
            self._look = None
        elif self.is_done or self._expects or self._kept_bytes >= self._look_bytes:
            self._look = None
            look.set_result(b"".join(self._kept)[: self._look_bytes])

    def _write(self, upstream: UpstreamConnection | UpstreamStream, pieces: list[bytes]) -> None:
        if upstream.is_stream:
            self.is_sent = self.is_sent or bool(pieces)
            cast("UpstreamStream", upstream).send_body(pieces, self._trailers, is_last=self.is_done)
            return
        pieces = self._framed(pieces)
        if pieces:
            self.is_sent = True
            cast("UpstreamConnection", upstream).transport.writelines(pieces)

    def _framed(self, pieces: list[bytes]) -> list[bytes]:
        """Frame pieces for HTTP/1.1."""
        if self._is_chunked:
            pieces = chunked.encode_chunks(pieces)
            if self.is_done:
                pieces.append(chunked.encode_last(self._trailers))
        return pieces

    def send(self, upstream: UpstreamConnection | UpstreamStream, head: bytes) -> None:
        """Write the head and what is kept; the rest follows by `take`. A stream has sent its head already."""
        self._upstream = upstream
        self._look = None
        kept, self._kept = self._kept, []
        if upstream.is_stream:
            if kept or self.is_done:
                self._write(upstream, kept)
        else:
            kept = self._framed(kept)
            self.is_sent = bool(kept)
            transport = cast("UpstreamConnection", upstream).transport
            if kept and self._kept_bytes <= JOIN_LIMIT_BYTES:
                transport.write(b"".join((head, *kept)))
            else:
                transport.writelines((head, *kept))
        self._kept_bytes = 0
        if not upstream.is_paused:
            self._client.resume(Pause.BODY)

    def detach(self) -> None:
        """Stop passing on: the upstream is gone. What comes now is kept for the next one, if there is one."""
        self._upstream = None
