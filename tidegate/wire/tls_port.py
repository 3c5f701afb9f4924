"""A port that speaks TLS as soon as there is a certificate, and shows a newer one from then on.

Certificates come from wherever the process finds them. One that does not load is reported and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tidegate.wire.server import Server
from tidegate.wire.server_identity import ServerIdentity

logger = logging.getLogger(__name__)


class TlsPort:
    """One server on one address, which does not listen before it can prove who it is."""

    def __init__(self, server: Server, host: str, port: int) -> None:
        self.server = server
        self.is_open = False
        self._address = (host, port)
        self._identity: ServerIdentity | None = None
        self._turn = asyncio.Lock()

    async def show(self, certificate: str, key: str) -> bool:
        """Show this certificate (PEM) to new connections; listen if that is the first. False when it does not load."""
        async with self._turn:
            try:
                await self._show(certificate, key)
            except OSError as error:  # ssl.SSLError is one
                kept = "the old one is kept" if self.is_open else "TLS is not spoken yet"
                logger.error("the certificate for port %d cannot be used, %s: %s", self._address[1], kept, error)
                return False
            return True

    async def drain(self, deadline_s: float, only_tunnels_left: Callable[[], None] | None = None) -> None:
        """Stop accepting and let requests in flight end for up to `deadline_s` seconds; see `Server.drain`."""
        async with self._turn:
            if self.is_open:
                await self.server.drain(deadline_s, only_tunnels_left)
            elif only_tunnels_left is not None:
                only_tunnels_left()
            self.server.is_draining = True
            self.is_open = False

    async def _show(self, certificate: str, key: str) -> None:
        if self.server.is_draining:
            return
        if self._identity is None:
            self._identity = ServerIdentity(certificate, key)
        else:
            self._identity.replace(certificate, key)
        if not self.is_open:
            await self.server.start(*self._address, tls=self._identity.context)
            self.is_open = True
            logger.info("listening on %s:%d for TLS between hops", *self._address)
