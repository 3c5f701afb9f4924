"""The ports for requests: clear text, and TLS where the pod has a certificate. They share pipeline, pool and limits.

The plain port stays open beside TLS: kubelets probe it, as they do in Knative. Certificates are files that a mounted
Secret replaces, so they are looked at now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from queueproxy.config import Config
from queueproxy.pipeline import Pipeline
from tidegate.contracts import internal_tls
from tidegate.process import tasks
from tidegate.process.file_pair import FilePair
from tidegate.wire.limits import ServerTimers
from tidegate.wire.pool import Pool
from tidegate.wire.server import Counters, Server
from tidegate.wire.tls_port import TlsPort

LOOK_EVERY_S = 5.0


class Ports:
    """The servers of one queueproxy."""

    def __init__(self, config: Config, pipeline: Pipeline, pool: Pool, timers: ServerTimers) -> None:
        self._address = (config.pod_ip, config.serving_port)
        self._plain = Server(pipeline, pool, timers=timers)
        self._tls: TlsPort | None = None
        self._watching: asyncio.Task[None] | None = None
        if config.certificates:
            server = Server(pipeline, pool, timers=timers)
            server.crowd = self._plain.crowd
            self._tls = TlsPort(server, config.pod_ip, config.tls_port)
            folder = Path(config.certificates)
            self._files = FilePair(folder / internal_tls.CERTIFICATE_KEY, folder / internal_tls.PRIVATE_KEY)

    @property
    def counters(self) -> list[Counters]:
        """The running totals of each port."""
        return [self._plain.counters, *self.tls_counters]

    @property
    def tls_counters(self) -> list[Counters]:
        """The running totals of the ports that speak TLS."""
        return [] if self._tls is None else [self._tls.server.counters]

    async def start(self) -> None:
        """Listen. Raises OSError when the plain port cannot be listened on."""
        await self._plain.start(*self._address)
        if self._tls is not None:
            await self.look()
            self._watching = tasks.spawn(self._watch(), "watch the certificate")

    async def look(self) -> None:
        """Take the certificate over when its files have changed."""
        pair = self._files.look()
        if pair is not None and self._tls is not None:
            await self._tls.show(*pair)

    async def drain(self, deadline_s: float, only_tunnels_left: Callable[[], None]) -> None:
        """Stop accepting and let requests in flight end; see `Server.drain`, for both ports together."""
        await tasks.cancel(self._watching)
        if self._tls is None:
            await self._plain.drain(deadline_s, only_tunnels_left)
            return
        busy = 2

        def one_is_left_with_tunnels() -> None:
            nonlocal busy
            busy -= 1
            if not busy:
                only_tunnels_left()

        await asyncio.gather(
            self._plain.drain(deadline_s, one_is_left_with_tunnels),
            self._tls.drain(deadline_s, one_is_left_with_tunnels),
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()
