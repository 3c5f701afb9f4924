"""`python -m runtimes.graph`: the router of an InferenceGraph, whose nodes are in GRAPH (JSON) or in a file."""

from __future__ import annotations

from tidegate.process import start_clock  # first: it notes when the program's own imports begin

# isort: split

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtimes.graph.counts import Counts
from runtimes.graph.router import REQUEST_ID, Router
from runtimes.graph.upstream import Upstream
from runtimes.graph.walk import Walk
from runtimes.http.messages import HttpLimits
from runtimes.http.server import HttpServer
from tidegate.contracts import inference_graph, problems
from tidegate.process import logs, run, settings
from tidegate.process.settings import SettingsError, setting

log = logging.getLogger("runtimes.graph")
PROGRAM = "runtimes.graph"
OURS = frozenset({b"content-type", REQUEST_ID})


@dataclass(frozen=True)
class Config:
    """Settings of a graph's router."""

    host: str = setting("address to listen on", default="127.0.0.1", env="HOST")
    port: int = setting("port; 0: any free one", default=8080, env="PORT")
    graph: str = setting("the nodes of the graph, as JSON", default="", env="GRAPH")
    graph_file: str = setting("a file with them instead", default="")
    propagate_headers: str = setting(
        "headers that go from the caller to every step, with commas between",
        default="traceparent,tracestate,baggage,x-request-id,x-group-request-id",
    )
    step_timeout_s: float = setting("a step answers within this time, its cold start included (s)", default=60.0)
    max_in_flight: int = setting("requests on their way through the graph before 429", default=1000)
    body_limit_mib: int = setting("largest body of a request or of an answer (MiB)", default=64)
    drain_s: float = setting("time for requests in flight after SIGTERM (s)", default=30.0)
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        if self.step_timeout_s <= 0 or self.max_in_flight <= 0:
            raise ValueError("step_timeout_s and max_in_flight are more than 0")

    def nodes(self) -> Any:
        """Return the graph's nodes; raises SettingsError for what is no graph."""
        try:
            document = json.loads(Path(self.graph_file).read_text() if self.graph_file else self.graph or "null")
        except (OSError, ValueError) as error:
            raise SettingsError(f"graph: {error}") from error
        if found := inference_graph.validate(document):
            raise SettingsError(f"graph: {problems.render(found)}")
        return document


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
