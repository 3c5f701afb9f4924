"""The bounds and the timers of one server, in one place, with their defaults and units.

Values only. A request's own timers (response start, idle, total) come with its `Relay`; these are the connection's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one connection may make us hold.

    `head_bytes`, `head_lines`: size and header count of one head (beyond: 431). `target_bytes`: request target
    (beyond: 414).
    `body_high_bytes`, `body_low_bytes`: watermarks at which reading from one side stops and resumes because the other
    side is slow or not there yet. `backlog_bytes`: pipelined bytes read ahead of the answer in progress before reading
    stops.
    `discard_bytes`: rest of a request body that is read and dropped to keep a connection whose answer came early.
    `interim_answers`: 1xx answers that an upstream may send before the final one (beyond: 502).
    """

    head_bytes: int = 64 * 1024
    head_lines: int = 128
    target_bytes: int = 16 * 1024
    body_high_bytes: int = 256 * 1024
    body_low_bytes: int = 64 * 1024
    backlog_bytes: int = 64 * 1024
    discard_bytes: int = 256 * 1024
    interim_answers: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.body_low_bytes <= self.body_high_bytes:
            raise ValueError("limits: 0 < body_low_bytes <= body_high_bytes must hold")
        if self.target_bytes > self.head_bytes:
            raise ValueError("limits: target_bytes must not exceed head_bytes")


@dataclass(frozen=True, slots=True)
class ServerTimers:
    """Timers of client connections, in seconds; 0 means no limit.

    `head_timeout_s`: from the first byte of a head to its end (a slow head is answered 408). `keep_alive_s`: an idle
    connection. `tunnel_idle_s`: an upgraded connection without a byte either way. `linger_s`: how long a connection
    that we closed may go on sending. `stalled_s`: how long a client may read nothing of what is left to send it when
    we close.
    `resolution_s`: all timers fire up to this much late, never early.
    """

    head_timeout_s: float = 15.0
    keep_alive_s: float = 75.0
    tunnel_idle_s: float = 3600.0
    linger_s: float = 2.0
    stalled_s: float = 30.0
    resolution_s: float = 0.05
