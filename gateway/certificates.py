"""The certificates of all hosts, for TLS listeners: each handshake is shown the one for the name it asks for.

They come from the Secrets that the controller copies to one namespace, all that a gateway may read of Secrets, and are
taken live: new connections see a new certificate, open ones go on with the old. A name that none is for gets the one
that is given by file; where none is given, the handshake is refused (unrecognized_name, RFC 6066). Keys are never
logged.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable

from gateway import sni
from gateway.certificate import Certificate
from tidegate.contracts import names, programmed
from tidegate.kube import resources
from tidegate.kube.api import Api
from tidegate.kube.cache import Cache
from tidegate.process import key_pair

log = logging.getLogger(__name__)

CONTEXTS_LIMIT = 1024
"""Certificates that are kept ready for handshakes; others are made ready again, which takes a fraction of a ms."""


class Certificates:
    """The certificates by host, and what TLS listeners are started with: `context` for the public, `local_context` for
    the cluster, whose names the first one does not know."""

    def __init__(self, api: Api) -> None:
        self._public: sni.Table = {}
        self._local: sni.Table = {}
        self._contexts: OrderedDict[str, ssl.SSLContext | None] = OrderedDict()
        self._default: Certificate | None = None
        self._is_rebuild_planned = False
        self._cache = Cache(api, resources.SECRETS, names.CERTIFICATES_NAMESPACE, shrink=sni.shrink)
        self._cache.on_change(lambda _kind, _old, _new: self._plan_rebuild())
        self.refused = 0
        # Set by __main__: called when a new table is in place.
        self.on_table: Callable[[], None] = lambda: None
        self._programmed = 0
        self.context = _listening(self._choose_public)
        self.local_context = _listening(self._choose)

    def __len__(self) -> int:
        return len(self._public) + len(self._local)

    @property
    def programmed(self) -> int:
        """The resourceVersion of Secrets up to which handshakes are shown what there is."""
        if not self._is_rebuild_planned:
            self._programmed = programmed.number(self._cache.version)
        return self._programmed

    def use_default(self, default: Certificate | None) -> None:
        """Show this certificate for names that no other is for; None: refuse them."""
        self._default = default

    async def run(self) -> None:
        """Keep the certificates current until cancelled."""
        await self._cache.run()

    async def wait_listed(self, timeout_s: float) -> None:
        """Return once they have been listed; after `timeout_s` seconds anyway, since clear text needs none of them."""
        try:
            await self._cache.wait_synced(timeout_s)
            await asyncio.sleep(0)  # the table is built in the turn after the last Secret
        except TimeoutError:
            log.warning("certificates in namespace %s are not listed yet", names.CERTIFICATES_NAMESPACE)

    def _plan_rebuild(self) -> None:
        if not self._is_rebuild_planned:
            self._is_rebuild_planned = True
            asyncio.get_running_loop().call_soon(self._rebuild)

    def _rebuild(self) -> None:
        self._is_rebuild_planned = False
        self._public, self._local = sni.build(self._cache.objects.values())
        current = {pair.version for table in (self._public, self._local) for pair in table.values()}
        for version in [version for version in self._contexts if version not in current]:
            del self._contexts[version]
        self.on_table()

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        pair = (sni.find(self._local, name) or sni.find(self._public, name)) if name else None
        return self._show(connection, name, pair)

    def _choose_public(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return self._show(connection, name, sni.find(self._public, name) if name else None)

    def _show(self, connection: ssl.SSLObject, name: str | None, pair: sni.Pair | None) -> int | None:
        found = self._context_of(pair, name or "") if pair is not None else None
        if found is None and self._default is not None:
            found = self._default.current
        if found is None:
            self.refused += 1
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = found
        return None

    def _context_of(self, pair: sni.Pair, name: str) -> ssl.SSLContext | None:
        if pair.version in self._contexts:
            self._contexts.move_to_end(pair.version)
            return self._contexts[pair.version]
        try:
            made: ssl.SSLContext | None = key_pair.server_context(*pair.texts())
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            log.error("the certificate for %s does not load: %s", name, error)
            made = None
        self._contexts[pair.version] = made
        if len(self._contexts) > CONTEXTS_LIMIT:
            self._contexts.popitem(last=False)
        return made


def _listening(choose: Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]) -> ssl.SSLContext:
    """Return a context without a certificate: `choose` gives each handshake another, or refuses it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(key_pair.ALPN))
    context.sni_callback = choose
    return context
