"""The settings of the router of an InferenceGraph: file < environment < flag. Its nodes are one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.contracts import inference_graph, problems
from tidegate.process.settings import SettingsError, setting


@dataclass(frozen=True)
class Config:
    """Settings of `python -m runtimes.graph`."""

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
