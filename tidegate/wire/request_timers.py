"""Which of a relayed request's timers fires next. Pure: times come in, a time and its meaning go out.

Total, response start and idle run from the request's arrival, as Knative has them: response start counts until the
answer's first byte, idle from its last byte, or from arrival while there is none.
"""

from __future__ import annotations

from tidegate.wire.deadlines import NEVER
from tidegate.wire.director import Failure, Timeouts

NO_TIMER = (NEVER, Failure.TIMEOUT_TOTAL)


def earliest(
    timeouts: Timeouts,
    arrived: float,
    *,
    has_begun: bool,
    last_byte_at: float,
    connect_until: float,
    tunnel_until: float,
) -> tuple[float, Failure]:
    """Return when the earliest timer fires, and what it means; times are monotonic seconds, 0 stands for "not yet"."""
    first = NO_TIMER
    if timeouts.total_s > 0:
        first = (arrived + timeouts.total_s, Failure.TIMEOUT_TOTAL)
    if timeouts.response_start_s > 0 and not has_begun:
        first = min(first, (arrived + timeouts.response_start_s, Failure.TIMEOUT_START))
    if tunnel_until:
        first = min(first, (tunnel_until, Failure.TIMEOUT_IDLE))
    elif timeouts.idle_s > 0:
        first = min(first, ((last_byte_at or arrived) + timeouts.idle_s, Failure.TIMEOUT_IDLE))
    if connect_until:
        first = min(first, (connect_until, Failure.CONNECT))
    return first
