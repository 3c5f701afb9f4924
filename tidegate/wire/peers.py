"""The peers that are spoken to in TLS, by the name that their certificates are for, all trusted for one bundle.

A new bundle makes new objects: connections that were opened under the old one are not used for new requests. An empty
bundle trusts nobody, so nothing is ever sent to a peer that cannot be checked.
"""

from __future__ import annotations

import logging
import re
import ssl

from tidegate.wire.upstream_tls import UpstreamTls

logger = logging.getLogger(__name__)

_ONE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Peers:
    """Who may be spoken to."""

    def __init__(self) -> None:
        self._trusted = ""
        self._told = ""
        self._known: dict[str, UpstreamTls] = {}

    def trust(self, trusted: str) -> None:
        """Trust these certificates (PEM) from now on; what does not load is reported and left out.

        They come from several objects: one that is broken must not take the others' trust away. Nothing changes when
        none loads.
        """
        if trusted == self._told:
            return
        self._told = trusted
        if not trusted or _loads(trusted):
            found = trusted
        else:
            blocks = _ONE.findall(trusted)
            good = [block for block in blocks if _loads(block)]
            logger.error(
                "of %d trusted certificates %d do not load and are left out", len(blocks), len(blocks) - len(good)
            )
            found = "\n".join(good)
            if not good:
                return
        if found == self._trusted:
            return
        self._trusted = found
        self._known = {}

    def named(self, name: str) -> UpstreamTls:
        """Return how to speak to the peers with this name."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = UpstreamTls(self._trusted, name)
        return known


def _loads(trusted: str) -> bool:
    try:
        UpstreamTls(trusted, "")
    except (ssl.SSLError, ValueError):
        return False
    return True
