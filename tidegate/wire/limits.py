"""The bounds and the timers of one server, in one place, with their defaults and units.

Values only. A request's own timers (response start, idle, total) come with its `Relay`; these are the connection's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one connection may make us hold.

    `head_bytes`, `head_lines`: size and header count of one head (beyond: 431). `target_bytes`: request target
    (beyond: 414).
    `body_high_bytes`, `body_low_bytes`: watermarks at which reading from one side stops and resumes because the other
    side is slow or not there yet. `backlog_bytes`: pipelined bytes read ahead of the answer in progress before reading
    stops.
    `discard_bytes`: rest of a request body that is read and dropped to keep a connection whose answer came early.
    `connections`: of clients that are open at once; 0 is nine tenths of the descriptors that the process may have.
    `connections_per_peer`: of these from one address; 0 is no limit (beyond either: 503).
    `interim_answers`: 1xx answers that an upstream may send before the final one (beyond: 502).
    """

    head_bytes: int = 64 * 1024
    head_lines: int = 128
    target_bytes: int = 16 * 1024
    body_high_bytes: int = 256 * 1024
    body_low_bytes: int = 64 * 1024
    backlog_bytes: int = 64 * 1024
    discard_bytes: int = 256 * 1024
    connections: int = 0
    connections_per_peer: int = 0
    interim_answers: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.body_low_bytes <= self.body_high_bytes:
            raise ValueError("limits: 0 < body_low_bytes <= body_high_bytes must hold")
        if self.target_bytes > self.head_bytes:
            raise ValueError("limits: target_bytes must not exceed head_bytes")


@dataclass(frozen=True, slots=True)
class ServerTimers:
    """Timers of client connections, in seconds; 0 means no limit.

    `body_stalled_s`: how long a client may send nothing of a request body that an upstream waits for, before the answer
    begins (408; chunk framing without payload is nothing). `head_timeout_s`: from the first byte of a head to its end
    (a slow head is answered 408). `keep_alive_s`: an idle connection. `tunnel_idle_s`: an upgraded connection without a
    byte either way. `linger_s`: how long a connection that we closed may go on sending. `stalled_s`: how long a client
    may take nothing of what waits to be sent to it.
    `resolution_s`: all timers fire up to this much late, never early.
    """

    body_stalled_s: float = 60.0
    head_timeout_s: float = 15.0
    keep_alive_s: float = 75.0
    tunnel_idle_s: float = 3600.0
    linger_s: float = 2.0
    stalled_s: float = 60.0
    resolution_s: float = 0.05


BETWEEN_HOPS: Final = {"body_stalled_s": 0.0, "stalled_s": 300.0}
"""Where the client is a hop of ours: the edge, whose timers are settings, cuts slow clients off for all of them."""
