"""The request log: one line per finished request on standard output, when config-observability switches it on.

Lines are gathered for `FLUSH_AFTER_S` and written together; switched off, a request pays for one comparison. It knows
no routing: what a line says is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.contracts import problems, request_log, trace_context
from tidegate.contracts.config import observability
from tidegate.wire.director import Answer, Outcome, Request

log = logging.getLogger(__name__)

FLUSH_AFTER_S = 0.2
GATHERED_LIMIT = 1000
"""Lines; one more and they are written at once."""


class RequestLog:
    """`is_on`: whether `add` is to be called; `has_probes`: also for probes."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self.is_on = False
        self.has_probes = False
        self._write = write or _to_standard_output
        self._template = request_log.Template(request_log.DEFAULT)
        self._lines: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None

    def configure(self, config_map: Mapping[str, Any] | None) -> None:
        """Take config-observability over; a bad one is reported and changes nothing."""
        values, found = observability.parse(config_map)
        if found:
            log.error("config-observability is not used: %s", problems.render(found))
            return
        self._template = request_log.Template(values.request_log_template)
        self.is_on, self.has_probes = values.is_request_log_enabled, values.is_probe_log_enabled

    def add(self, entry: request_log.Entry) -> None:
        """Write a line, soon."""
        self._lines.append(self._template.render(entry))
        if len(self._lines) > GATHERED_LIMIT:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        if lines:
            self._write("\n".join(lines) + "\n")


def _to_standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def entry_of(request: Request, outcome: Outcome, added_head: bytes) -> request_log.Entry:
    """Return what is known of a request without its revision; `added_head`: what was added for the next hop."""
    text = _text_of(request)
    size = text(b"content-length")
    direction = outcome.direction
    return request_log.Entry(
        method=request.method.decode("latin-1"),
        url=request.target.decode("latin-1"),
        host=request.host,
        protocol=f"HTTP/{request.http_version}",
        remote_ip=request.peer,
        user_agent=text(b"user-agent"),
        referer=text(b"referer"),
        request_size=int(size) if size.isdigit() else request_log.UNKNOWN_SIZE,
        status=outcome.status,
        response_size=len(direction.body) if isinstance(direction, Answer) else outcome.answer_bytes,
        latency_s=outcome.duration_s,
        trace_id=_trace_of(request, added_head),
    )


def _text_of(request: Request) -> Callable[[bytes], str]:
    return lambda name: (request.header(name) or b"").decode("latin-1")


def _trace_of(request: Request, added_head: bytes) -> str:
    # What the next hop is told comes first: a value that was not valid has been replaced there.
    told = added_head.partition(b"traceparent: ")[2].partition(b"\r\n")[0]
    context = trace_context.parse(told or request.header(b"traceparent"))
    return context.trace_id if context is not None else ""
