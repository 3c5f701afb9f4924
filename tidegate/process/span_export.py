"""Sends ended spans to an OpenTelemetry collector: OTLP over HTTP with JSON, in batches, from a bounded queue.

A collector that is slow, away or full costs spans, never requests: what finds no place is dropped, what could not be
sent is not sent again, and both are counted. One connection per batch, one batch at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.contracts import spans
from tidegate.process import tasks

log = logging.getLogger(__name__)

QUEUE_LIMIT = 2048
BATCH_LIMIT = 512
EVERY_S = 1.0
POST_TIMEOUT_S = 5.0
LAST_POST_TIMEOUT_S = 2.0
ANSWER_LIMIT_BYTES = 4096
DEFAULT_PATH = "/v1/traces"
COMPLAIN_EVERY_S = 60.0


class SpanExport(Collector):
    """The queue of one process. `resource`: what is said of it beside every span (`service.name`...)."""

    def __init__(self, endpoint: str, resource: spans.Attributes, prefix: str, registry: CollectorRegistry) -> None:
        """Raises ValueError when the endpoint is no http or https URL."""
        self._host, self._port, self._path, self._is_secure = parse_endpoint(endpoint)
        self._resource = resource
        self._prefix = prefix
        self._queue: deque[spans.Span] = deque()
        self._task: asyncio.Task[None] | None = None
        self._complained_at = float("-inf")
        self.exported = self.dropped = self.failed = 0
        registry.register(self)

    def add(self, span: spans.Span) -> None:
        """Queue a span, or drop it when the queue is full."""
        if len(self._queue) >= QUEUE_LIMIT:
            self.dropped += 1
        else:
            self._queue.append(span)

    def start(self) -> None:
        """Begin to send."""
        self._task = tasks.spawn(self._run(), "spans")

    async def close(self) -> None:
        """Send what is left, for a short while."""
        await tasks.cancel(self._task)
        try:
            async with asyncio.timeout(LAST_POST_TIMEOUT_S):
                await self._send_all()
        except TimeoutError:
            self.failed += len(self._queue)
            self._queue.clear()

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, for a scrape."""
        ended = CounterMetricFamily(f"{self._prefix}_spans", "Spans, by what became of them.", labels=("result",))
        for result in ("exported", "dropped", "failed"):
            ended.add_metric((result,), getattr(self, result))
        yield ended
        yield GaugeMetricFamily(f"{self._prefix}_spans_queued", "Spans that wait to be sent.", len(self._queue))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._send_all()

    async def _send_all(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH_LIMIT, len(self._queue)))]
            try:
                async with asyncio.timeout(POST_TIMEOUT_S):
                    status = await self._post(msgspec.json.encode(spans.document(self._resource, batch)))
                problem = "" if 200 <= status < 300 else f"status {status}"
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                problem = str(error) or type(error).__name__
            except asyncio.CancelledError:
                self.failed += len(batch)
                raise
            if problem:
                self.failed += len(batch)
                self._complain(problem)
            else:
                self.exported += len(batch)

    async def _post(self, body: bytes) -> int:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._is_secure or None, limit=ANSWER_LIMIT_BYTES
        )
        try:
            lines = (
                f"POST {self._path} HTTP/1.1",
                f"Host: {self._host}:{self._port}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + body)
            await writer.drain()
            return int((await reader.readuntil(b"\r\n")).split(b" ", 2)[1])
        finally:
            writer.close()

    def _complain(self, problem: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            log.warning("spans could not be sent to %s:%d: %s", self._host, self._port, problem)


def parse_endpoint(text: str) -> tuple[str, int, str, bool]:
    """Return host, port, path, and whether it is https; the path is `/v1/traces` where none is given."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is no endpoint for spans: write http://host:4318")
    path = parts.path if parts.path not in ("", "/") else DEFAULT_PATH
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 4318), path, parts.scheme == "https"
