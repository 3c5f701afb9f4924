"""Request heads for tests of directors: feed a Request, look at the Direction; no socket is needed."""

from __future__ import annotations

import asyncio

from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request


def make_request(host: str = "app.default.localhost", method: str = "GET", **named: str) -> Request:
    """Return a head; `named` are headers with `_` for `-`, all of them indexed."""
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    lines.insert(0, (b"host", host.encode()))
    return Request(
        method=method.encode(),
        target=b"/",
        host=host,
        headers=lines,
        peer="10.0.0.1",
        arrived=asyncio.get_running_loop().time(),
        index=dict(lines),
    )


def relay_of(direction: object) -> Relay:
    """Return a direction that must be a Relay."""
    assert isinstance(direction, Relay), direction
    return direction


def answer_of(direction: object) -> Answer:
    """Return a direction that must be an Answer."""
    assert isinstance(direction, Answer), direction
    return direction


def outcome(direction: Direction | None = None, status: int = 200, failure: Failure | None = None) -> Outcome:
    """Return how a request ended."""
    return Outcome(status, failure, 0.01, 0.01, direction)
