"""The certificate that a server shows, replaced while it serves: new connections see the new one, open ones go on.

It is given as PEM, from wherever it comes; reading files and watching for changes is the caller's.
"""

from __future__ import annotations

import os
import ssl


class ServerIdentity:
    """A certificate with its chain and key, as a context for servers.

    Raises `ssl.SSLError` when they do not load or do not belong together.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._current = self.context = _load(certificate, key)
        # A context that is being changed could pair a new certificate with an old key; so each handshake is handed the
        # newest complete one.
        self.context.sni_callback = self._choose

    def replace(self, certificate: str, key: str) -> None:
        """Show this certificate from now on; raises `ssl.SSLError`, and then nothing has changed."""
        self._current = _load(certificate, key)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _load(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    # The ssl module reads key pairs from files only; this one is never on a disk.
    descriptor = os.memfd_create("server-identity")
    try:
        with open(descriptor, "w", closefd=False) as pair:
            pair.write(certificate + "\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
