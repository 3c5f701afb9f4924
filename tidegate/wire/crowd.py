"""How many client connections are open, in all and from one address, and whether there is room for another.

Pure counting. A connection beyond the limit is told so and closed; of those that have yet to read it few are kept,
for they cost a descriptor each and whoever floods does not read.
"""

from __future__ import annotations

TOLD_LIMIT = 100
"""Refused connections that may be open at once, until they have read why."""


class Crowd:
    """The client connections of one process. A limit of 0 is none."""

    __slots__ = ("_by_peer", "limit", "open", "per_peer_limit", "refused", "told")

    def __init__(self, limit: int = 0, per_peer_limit: int = 0) -> None:
        self.limit = limit
        self.per_peer_limit = per_peer_limit
        self.open = 0
        self.told = 0
        self.refused = 0
        self._by_peer: dict[str, int] = {}

    def enter(self, peer: str) -> bool:
        """Count a new connection; False when there is no room for it."""
        if self.limit and self.open >= self.limit:
            return False
        if self.per_peer_limit:
            count = self._by_peer.get(peer, 0)
            if count >= self.per_peer_limit:
                return False
            self._by_peer[peer] = count + 1
        self.open += 1
        return True

    def leave(self, peer: str) -> None:
        """Forget a connection that entered."""
        self.open -= 1
        count = self._by_peer.get(peer)
        if count is not None:
            if count > 1:
                self._by_peer[peer] = count - 1
            else:
                del self._by_peer[peer]

    def refuse(self) -> bool:
        """Count a connection that found no room; whether there is time to tell it."""
        self.refused += 1
        if self.told >= TOLD_LIMIT:
            return False
        self.told += 1
        return True

    def told_left(self) -> None:
        """Forget a refused connection that was told."""
        self.told -= 1
