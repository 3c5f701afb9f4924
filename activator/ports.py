"""The ports for requests: clear text, and TLS once there is a certificate. They share pipeline, pool and limits.

The plain port stays open beside TLS, as in Knative. The certificate comes from a Secret that is watched, so a process
that started before it takes it over without a restart.
"""

from __future__ import annotations

import asyncio

from activator.config import Config
from activator.pipeline import Pipeline
from tidegate.process import tasks
from tidegate.wire.limits import ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.server import Counters, Server
from tidegate.wire.tls_port import TlsPort


class Ports:
    """The servers of one activator."""

    def __init__(self, config: Config, pipeline: Pipeline, pool: Pool, timers: ServerTimers) -> None:
        self._address = (config.pod_ip, config.serving_port)
        self._plain = Server(pipeline, pool, timers=timers)
        server = Server(pipeline, pool, timers=timers)
        server.crowd = self._plain.crowd
        self._tls = TlsPort(server, config.pod_ip, config.tls_port)

    @property
    def counters(self) -> list[Counters]:
        """The running totals of each port."""
        return [self._plain.counters, *self.tls_counters]

    @property
    def tls_counters(self) -> list[Counters]:
        """The running totals of the ports that speak TLS."""
        return [self._tls.server.counters]

    @property
    def in_flight(self) -> int:
        """Requests in flight on all ports."""
        return self._plain.in_flight + self._tls.server.in_flight

    async def start(self) -> None:
        """Listen in clear text. Raises OSError when the port cannot be listened on."""
        await self._plain.start(*self._address)

    def show(self, certificate: str, key: str) -> None:
        """Take a certificate (PEM) over: at once for new connections."""
        tasks.spawn(self._tls.show(certificate, key), "show the certificate")

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting and let requests in flight end for up to `deadline_s` seconds."""
        await asyncio.gather(self._plain.drain(deadline_s), self._tls.drain(deadline_s))
