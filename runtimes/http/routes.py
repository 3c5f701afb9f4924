"""Which handler a path means. The handlers of each protocol have a module; this one only cuts paths.

/v2...                         open_inference.py
/v1/models...                  v1.py
/predict/..., /api/v1.0/..., /predictions/..., /ping    compatible.py
/metrics, /                    here
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runtimes.failures import not_found
from runtimes.http import messages
from runtimes.http.compatible import Compatible
from runtimes.http.exchange import must_be
from runtimes.http.messages import Reply, Request
from runtimes.http.open_inference import OpenInference
from runtimes.http.v1 import V1
from runtimes.metrics import render
from runtimes.repository.store import Repository

Answer = Reply | Awaitable[Reply]


class Routes:
    """The handler of every request."""

    def __init__(
        self, repository: Repository, body_limit_bytes: int, more_metrics: Callable[[], bytes] = bytes
    ) -> None:
        """`more_metrics` renders what /metrics shows beside the models' own."""
        self._repository = repository
        self._more_metrics = more_metrics
        v1 = V1(repository, body_limit_bytes)
        open_inference = OpenInference(repository, body_limit_bytes)
        compatible = Compatible(repository, v1, body_limit_bytes)
        self._by_first: dict[str, Callable[[Request, list[str]], Answer]] = {
            "v2": open_inference.handle,
            "v1": v1.handle,
            "predict": compatible.predict,
            "predictions": compatible.predictions,
            "explanations": compatible.explanations,
            "api": compatible.seldon,
            "ping": compatible.ping,
            "metrics": self._metrics,
            "": self._alive,
        }

    def handle(self, request: Request) -> Answer:
        """Answer a request, or say later; raises InferenceError."""
        parts = request.path.split("/")
        handler = self._by_first.get(parts[1] if len(parts) > 1 else "?")
        if handler is None:
            raise not_found(f"{request.path} is not served; see GET /v2 and GET /v1/models")
        return handler(request, parts[2:])

    def _metrics(self, request: Request, rest: list[str]) -> Reply:
        must_be(request, b"GET")
        return Reply(200, render(self._repository) + self._more_metrics(), b"text/plain; version=0.0.4; charset=utf-8")

    def _alive(self, request: Request, rest: list[str]) -> Reply:
        must_be(request, b"GET")
        return messages.json_reply({"status": "alive"})
