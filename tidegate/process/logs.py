"""Logs: one JSON object per line on standard error, or plain lines for a person at a terminal.

Fields: `time` (UTC, milliseconds), `level`, `component`, `logger`, `message`, and whatever a call passes as
`extra={"fields": {...}}`. Secrets never get here: nothing in Tidegate logs headers, tokens or bodies.
"""

from __future__ import annotations

import datetime
import logging
import sys

import msgspec

_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        stamp = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry: dict[str, object] = {
            "time": stamp.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry.update(fields)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry).decode()


def configure(component: str, level: str = "info", *, as_json: bool | None = None) -> None:
    """Send all logs of this process to standard error; JSON unless a person is watching (`as_json` decides when
    given)."""
    handler = logging.StreamHandler(sys.stderr)
    if as_json is None:
        as_json = not sys.stderr.isatty()
    plain = logging.Formatter(f"%(asctime)s %(levelname)-7s {component} %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter(component) if as_json else plain)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    _set_level(root, level.upper())
    # These two repeat what the component itself logs, once per request.
    _set_level(logging.getLogger("aiohttp.access"), "WARNING")
    _set_level(logging.getLogger("asyncio"), "WARNING")


def _set_level(logger: logging.Logger, level: str) -> None:
    # To set a level visits all loggers, and a forked process then has copies of them.
    if logging.getLevelName(logger.level) != level:
        logger.setLevel(level)
