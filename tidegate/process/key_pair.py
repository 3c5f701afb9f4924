"""Puts a certificate and its key, as text, into a TLS context; the key never touches a disk and is never logged."""

from __future__ import annotations

import os
import ssl

ALPN = ("h2", "http/1.1")


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context of a server for HTTP with a PEM certificate chain and its key; raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(ALPN))
    load(context, certificate, key)
    return context


def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Put a PEM certificate chain and its key into a context; connections made from now on use them.

    Raises ssl.SSLError when they do not load or do not belong together; the message holds nothing of either.
    """
    # The ssl module reads key pairs from files only: this one is never on a disk, and needs no folder to write to.
    descriptor = os.memfd_create("key-pair", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "w", closefd=False) as pair:
            pair.write(f"{certificate.rstrip()}\n{key}")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
