"""An upgraded exchange: bytes both ways as they come, until both sides have ended or nothing was said for too long.

Each direction ends by itself (half-close): one side's end is passed on and the other direction stays open.
Back-pressure is the exchange's, as for bodies. A tunnel understands nothing of what it carries.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidegate.wire.deadlines import NEVER

if TYPE_CHECKING:
    from tidegate.wire.client_side import ClientConnection
    from tidegate.wire.exchange import Exchange
    from tidegate.wire.upstream_side import UpstreamConnection


class Tunnel:
    """Two transports joined."""

    __slots__ = ("_client", "_client_ended", "_exchange", "_idle_s", "_last_byte_at", "_upstream", "_upstream_ended")

    def __init__(
        self, exchange: Exchange, client: ClientConnection, upstream: UpstreamConnection, idle_s: float
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._upstream = upstream
        self._idle_s = idle_s
        self._last_byte_at = time.monotonic()
        self._client_ended = False
        self._upstream_ended = False

    def open(self, data: bytes) -> None:
        """Join the two sides; `data` came from the upstream behind its 101."""
        self._upstream.tunnel = self
        if data:
            self.from_upstream(data)
        self._client.enter_tunnel(self)

    def from_client(self, data: bytes) -> None:
        """Pass bytes to the upstream."""
        self._last_byte_at = time.monotonic()
        self._upstream.transport.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Pass bytes to the client."""
        self._last_byte_at = time.monotonic()
        self._exchange.write_answer(data)

    def half_closed(self, *, by_client: bool) -> bool:
        """Pass one side's end on; returns whether the transport that ended stays open for writing."""
        if self._exchange.has_ended:  # in TLS the other side ends as well, behind the end of the tunnel
            return False
        self._last_byte_at = time.monotonic()
        other = self._upstream.transport if by_client else self._client.transport
        if by_client:
            self._client_ended = True
        else:
            self._upstream_ended = True
        # TLS has no half-close here: one side's end is the tunnel's.
        if (self._client_ended and self._upstream_ended) or self._has_tls():
            self._exchange.tunnel_ended(None)
            return False
        if not other.is_closing():
            other.write_eof()
        return True

    def _has_tls(self) -> bool:
        return not (self._client.transport.can_write_eof() and self._upstream.transport.can_write_eof())

    def abort(self) -> None:
        """Stop passing bytes."""
        self._upstream.tunnel = None

    def idle_deadline(self) -> float:
        """Return when this tunnel has been silent for too long."""
        return self._last_byte_at + self._idle_s if self._idle_s else NEVER
