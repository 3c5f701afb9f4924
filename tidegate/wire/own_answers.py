"""One log line for each answer that Tidegate makes itself, in bounded number: who was told what, and why.

Counting is `server.Counters`'. A flood of refusals must not become a flood of lines: each reason has a bucket, and the
next line that is written says how many were left out. Neither headers nor bodies nor queries are logged, for they may
hold secrets; answers to probes are routine and logged at debug.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tidegate.contracts import outcomes
from tidegate.wire.director import Request

log = logging.getLogger("tidegate.answers")

BURST = 10
"""Lines of one reason that may follow each other at once."""
LINES_PER_S = 1.0
PATH_LIMIT = 200
"""Characters of a path that are logged."""


class OwnAnswerLog:
    """The buckets of one server."""

    __slots__ = ("_clock", "_left", "_omitted", "_since")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._omitted: dict[str, int] = {}

    def add(self, reason: str, status: int, request: Request | None, peer: str) -> None:
        """Log an answer; `request` is None when its head was refused. An answer without a reason is a probe's."""
        if not reason:
            return
        known = outcomes.ALL.get(reason)
        level = logging.DEBUG if known is not None and known.is_routine else _level(status)
        if not log.isEnabledFor(level):
            return
        if not self._may(reason):
            self._omitted[reason] = self._omitted.get(reason, 0) + 1
            return
        fields: dict[str, object] = {"reason": reason, "status": status, "peer": peer}
        if request is not None:
            fields |= _said(request)
        omitted = self._omitted.pop(reason, 0)
        if omitted:
            fields["omitted"] = omitted
        log.log(level, "answered %d %s", status, reason, extra={"fields": fields})

    def _may(self, reason: str) -> bool:
        now = self._clock()
        left = min(BURST, self._left.get(reason, BURST) + (now - self._since.get(reason, now)) * LINES_PER_S)
        self._since[reason] = now
        self._left[reason] = left - 1 if left >= 1 else left
        return left >= 1


def _level(status: int) -> int:
    return logging.WARNING if status >= 500 else logging.INFO


def _said(request: Request) -> dict[str, object]:
    path = request.target.partition(b"?")[0].decode("latin-1")
    fields: dict[str, object] = {
        "method": request.method.decode("latin-1"),
        "host": request.host,
        "path": path[:PATH_LIMIT],
        "attempts": request.attempts,
    }
    trace = (request.header(b"traceparent") or b"").split(b"-")
    if len(trace) >= 4:
        fields["trace_id"] = trace[1].decode("latin-1")
    return fields
