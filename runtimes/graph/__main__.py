"""`python -m runtimes.graph`: the router of an InferenceGraph, whose nodes are in GRAPH (JSON) or in a file."""

from __future__ import annotations

from tidegate.process import start_clock  # first: it notes when the program's own imports begin

# isort: split

import asyncio
import logging
from collections.abc import Sequence

from runtimes.graph.config import Config
from runtimes.graph.counts import Counts
from runtimes.graph.router import REQUEST_ID, Router
from runtimes.graph.upstream import Upstream
from runtimes.graph.walk import Walk
from runtimes.http.messages import HttpLimits
from runtimes.http.server import HttpServer
from tidegate.contracts import inference_graph
from tidegate.process import logs, run, settings
from tidegate.process.settings import SettingsError

log = logging.getLogger("runtimes.graph")
PROGRAM = "runtimes.graph"
OURS = frozenset({b"content-type", REQUEST_ID})


class Process:
    """A router that listens."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.port = 0
        counts = Counts()
        limit_bytes = config.body_limit_mib << 20
        names = frozenset(filter(None, (each.strip().lower().encode() for each in config.propagate_headers.split(","))))
        self._upstream = Upstream(config.step_timeout_s, limit_bytes, names | OURS, counts)
        walk = Walk(inference_graph.read(config.nodes()), self._upstream.ask, self._upstream.shadow)
        router = Router(walk, limit_bytes, config.max_in_flight, counts)
        self._server = HttpServer(router.handle, HttpLimits(body_bytes=limit_bytes, drain_s=config.drain_s))

    async def start(self) -> None:
        """Listen."""
        self.port = await self._server.start(self.config.host, self.config.port)
        start_clock.this().opened()
        log.info("a graph of %d nodes on %s:%d", len(self.config.nodes()), self.config.host, self.port)

    async def close(self) -> None:
        """Drain and stop."""
        await self._server.close()
        await self._upstream.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM."""
    try:
        config = settings.load(Config, program=PROGRAM, argv=argv)
        config.nodes()
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    logs.configure(PROGRAM, config.log_level)

    async def serve(stopping: asyncio.Event) -> None:
        process = Process(config)
        await process.start()
        await stopping.wait()
        await process.close()

    run.run(serve)


if __name__ == "__main__":
    main()
