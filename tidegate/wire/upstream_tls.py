"""TLS towards an upstream: whose certificates are trusted, and which name the upstream's own must be for.

The name is what the upstream is (`kn-user-<namespace>`), never its address: pods come and go. Nothing is opened here;
the pools connect. Two peers that differ in trust or name never share a connection, for the object is part of the key.
"""

from __future__ import annotations

import ssl
from typing import Any

HANDSHAKE_LIMIT_S = 5.0
SHUTDOWN_LIMIT_S = 2.0


class UpstreamTls:
    """One way of speaking TLS. Raises `ssl.SSLError` when `trusted`, certificates in PEM, do not load.

    `handshake_s`: what a connect may take longer than one in clear text. Many handshakes at once are work for both
    sides; were they given up early, they would all be begun again.
    """

    __slots__ = ("_http1", "_http2", "handshake_s", "server_name")

    def __init__(self, trusted: str, server_name: str, handshake_s: float = 2.0) -> None:
        self.server_name = server_name
        self.handshake_s = handshake_s
        self._http1 = _context(trusted, "http/1.1")
        self._http2 = _context(trusted, "h2")

    def options(self, *, is_http2: bool = False) -> dict[str, Any]:
        """Return what `create_connection` needs to speak it."""
        return {
            "ssl": self._http2 if is_http2 else self._http1,
            "server_hostname": self.server_name,
            # The caller's own limit is shorter; this one is for handshakes that nobody waits for any more.
            "ssl_handshake_timeout": HANDSHAKE_LIMIT_S,
            "ssl_shutdown_timeout": SHUTDOWN_LIMIT_S,
        }


def _context(trusted: str, protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if trusted:  # without any, every certificate is refused
        context.load_verify_locations(cadata=trusted)
    context.set_alpn_protocols([protocol])
    return context
