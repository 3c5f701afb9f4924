"""The peers that are spoken to in TLS, by the name that their certificates are for, all trusted for one bundle.

A new bundle makes new objects: connections that were opened under the old one are not used for new requests. An empty
bundle trusts nobody, so nothing is ever sent to a peer that cannot be checked.
"""

from __future__ import annotations

import logging
import ssl

from tidegate.wire.upstream_tls import UpstreamTls

logger = logging.getLogger(__name__)


class Peers:
    """Who may be spoken to."""

    def __init__(self) -> None:
        self._trusted = ""
        self._known: dict[str, UpstreamTls] = {}

    def trust(self, trusted: str) -> None:
        """Trust these certificates (PEM) from now on; what does not load is reported and changes nothing."""
        if trusted == self._trusted:
            return
        try:
            UpstreamTls(trusted, "")
        except (ssl.SSLError, ValueError) as error:
            logger.error("the trusted certificates are kept as they were: the new ones do not load: %s", error)
            return
        self._trusted = trusted
        self._known = {}

    def named(self, name: str) -> UpstreamTls:
        """Return how to speak to the peers with this name."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = UpstreamTls(self._trusted, name)
        return known
