"""The certificate of the TLS port: read from two files, and read again when they change.

New connections see the new certificate, open ones go on with the old. Files that do not load or do not belong together
are reported once and change nothing. It serves nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file: inode, time of change in nanoseconds, size in bytes."""


class Certificate:
    """The current certificate and key, as a context for servers. Raises OSError (ssl.SSLError too) when they do not
    load at first."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        self._files = (certificate_file, key_file)
        self._seen = self._stamp()
        self._current = self.context = self._load()
        # A context that is being changed could pair a new certificate with an old key; so each handshake is handed the
        # newest complete one.
        self.context.sni_callback = self._choose

    @property
    def current(self) -> ssl.SSLContext:
        """The newest complete certificate and key."""
        return self._current

    async def run(self) -> None:
        """Look at the files every `LOOK_EVERY_S` seconds until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> bool:
        """Load the files when they have changed; returns whether there is a new certificate."""
        try:
            stamp = self._stamp()
        except OSError as error:
            stamp = ()
            if self._seen:
                log.error("certificate %s is kept: %s", self._files[0], error)
        if stamp == self._seen:
            return False
        self._seen = stamp
        if not stamp:
            return False
        try:
            self._current = self._load()
        except OSError as error:
            log.error("certificate %s is kept as it was: the new files do not load: %s", self._files[0], error)
            return False
        log.info("certificate %s: new files loaded", self._files[0])
        return True

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.load_cert_chain(*self._files)
        return context

    def _stamp(self) -> Stamp:
        found = [Path(path).stat() for path in self._files]
        return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in found)
