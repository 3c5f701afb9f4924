"""How much of the cheap kind one HTTP/2 connection may send: frames that cost us more than they cost the peer.

Each kind has a bucket that refills with time; a peer that empties one is no client. Pure: `now` is handed in.
"""

from __future__ import annotations

SETTINGS = "settings"
PING = "ping"
RESET = "reset"
EMPTY = "empty"
REFUSED = "refused"

BUCKETS: dict[str, tuple[float, float]] = {
    SETTINGS: (50, 1),
    PING: (2000, 1000),  # gRPC measures the round trip with pings, many a second on a fast link
    RESET: (500, 100),  # streams opened and taken back before their answer began ("rapid reset")
    EMPTY: (2000, 1000),  # DATA without data, PRIORITY, unknown frames, other resets
    REFUSED: (200, 50),  # streams beyond the limit that was announced, malformed heads
}
"""Size and refill per second of each kind's bucket."""


class FloodGuard:
    """The buckets of one connection."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def spend(self, kind: str, now: float) -> bool:
        """Count one frame of this kind; False when the peer has sent too many."""
        size, refill_per_s = BUCKETS[kind]
        earned = (now - self._since.get(kind, now)) * refill_per_s
        left = min(size, self._left.get(kind, size) + earned) - 1
        self._left[kind], self._since[kind] = left, now
        return left >= 0
