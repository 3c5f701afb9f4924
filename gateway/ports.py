"""The ports for clients: plain and TLS, for everybody and for the cluster. They share one pipeline and one pool.

They begin to listen together, drain together, and their totals are summed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl

from gateway import handover
from gateway.certificate import Certificate
from gateway.certificates import Certificates
from gateway.config import Config
from gateway.pipeline import Pipeline, PortDirector
from tidegate.process import settings, tasks
from tidegate.wire.limits import Limits, ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.server import Counters, Server

log = logging.getLogger(__name__)


class Ports:
    """The servers of one gateway. Raises `SettingsError` when the certificate does not load."""

    def __init__(self, config: Config, pipeline: Pipeline, pool: Pool, certificates: Certificates) -> None:
        self._config = config
        limits = Limits(connections=config.connections_limit, connections_per_peer=config.connections_per_peer_limit)
        timers = ServerTimers(body_stalled_s=config.body_stalled_s, stalled_s=config.client_stalled_s)
        self._plain = Server(pipeline, pool, limits, timers)
        self._certificate = _certificate_of(config)
        self._certificates = certificates
        certificates.use_default(self._certificate)
        self._tls = (
            Server(PortDirector(pipeline, "https", is_local=False), pool, limits, timers)
            if config.tls_address
            else None
        )
        self._local = (
            Server(PortDirector(pipeline, "http", is_local=True), pool, limits, timers)
            if config.local_address
            else None
        )
        self._local_tls = (
            Server(PortDirector(pipeline, "https", is_local=True), pool, limits, timers)
            if config.local_tls_address
            else None
        )
        others = [server for server in (self._tls, self._local, self._local_tls) if server is not None]
        for server in others:
            server.crowd = self._plain.crowd
        self._servers = [self._plain, *others]
        self._shared: list[Server] = []
        self._watching: asyncio.Task[None] | None = None
        self.are_open = False

    @property
    def counters(self) -> list[Counters]:
        """The running totals of each port."""
        return [server.counters for server in self._servers]

    @property
    def tls_counters(self) -> list[Counters]:
        """The running totals of the ports that speak TLS."""
        return [server.counters for server in (self._tls, self._local_tls) if server is not None]

    async def start(self, *, is_shared: bool = False) -> None:
        """Listen, `is_shared` with other workers. Raises OSError when a port cannot be listened on.

        An address of the host is shared with the gateway before and the one after this one (`leave_to_next`).
        """
        is_of_host = is_shared or bool(self._config.listen)
        await self._plain.start(*self._config.address, reuse_port=is_of_host)
        self._shared += [self._plain] if is_of_host else []
        log.info("listening on %s:%d", *self._config.address)
        if self._local is not None and (local := self._config.local_address) is not None:
            await self._local.start(*local, reuse_port=is_shared)
            log.info("listening on %s:%d for the cluster", *local)
        if self._local_tls is not None and (local := self._config.local_tls_address) is not None:
            await self._local_tls.start(*local, reuse_port=is_shared, tls=self._certificates.local_context)
            log.info("listening on %s:%d for TLS inside the cluster", *local)
        address = self._config.tls_address
        if self._tls is not None and address is not None:
            await self._tls.start(*address, reuse_port=True, tls=self._certificates.context)
            self._shared.append(self._tls)
            if self._certificate is not None:
                self._watching = tasks.spawn(self._certificate.run(), "watch the certificate")
            log.info("listening on %s:%d for TLS", *address)
        self.are_open = True

    def leave_to_next(self, workers: int) -> None:
        """Begin to end: new connections go to the next gateway where one listens on the same port of the host, and
        connections that are kept alive end with their next answer. `workers` processes of this gateway listen."""
        for server in self._servers:
            server.announce_end()
        for server in self._shared:
            for descriptor in server.listeners:
                handover.leave_to_later(descriptor, workers)

    def leave(self) -> None:
        """Stop listening where the next gateway does, as the last process of this one that listens there."""
        for server in self._shared:
            for descriptor in server.listeners:
                handover.spread_again(descriptor)
            server.stop_listening()  # before anything else happens: what arrives in between would be reset

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting and let requests in flight end for up to `deadline_s` seconds."""
        await asyncio.gather(*(server.drain(deadline_s) for server in self._servers))
        await tasks.cancel(self._watching)


def _certificate_of(config: Config) -> Certificate | None:
    if config.tls_address is None or not config.tls_cert_file:
        return None
    try:
        return Certificate(config.tls_cert_file, config.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        files = f"{config.tls_cert_file} and {config.tls_key_file}"
        raise settings.SettingsError(f"no certificate can be made of {files}: {error}") from error
