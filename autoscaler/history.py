"""The decisions that are remembered: of each revision those that said something new, bounded for each and for all.

A hundred thousand revisions cannot each keep a hundred decisions; together they keep the newest of all, so that what
changes is remembered and what does not costs nothing. Pure.
"""

from __future__ import annotations

from collections import deque

import msgspec

from tidegate.contracts.decision import Decision

Key = tuple[str, str]

RING_LENGTH = 100
TOTAL_LIMIT = 50_000


class History:
    """Rings of decisions by revision; the oldest of all leaves first when there are too many."""

    def __init__(self, ring_length: int = RING_LENGTH, total_limit: int = TOTAL_LIMIT) -> None:
        self._ring_length = ring_length
        self._total_limit = total_limit
        self._rings: dict[Key, deque[Decision]] = {}
        self._order: deque[Key] = deque()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def of(self, key: Key) -> list[Decision]:
        """Return what is remembered of a revision, newest last."""
        return list(self._rings.get(key, ()))

    def last(self, key: Key) -> Decision | None:
        """Return the newest one."""
        ring = self._rings.get(key)
        return ring[-1] if ring else None

    def keep(self, key: Key, decision: Decision) -> None:
        """Remember a decision; one that says the same as the last to a reader takes its place."""
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = deque()
        elif is_alike(ring[-1], decision):
            before = ring[-1]
            ring[-1] = msgspec.structs.replace(decision, patched_unix_s=before.patched_unix_s, is_poked=before.is_poked)
            return
        ring.append(decision)
        self._order.append(key)
        self._total += 1
        if len(ring) > self._ring_length:
            ring.popleft()
            self._total -= 1
        while self._total > self._total_limit or len(self._order) > 2 * self._total_limit:
            self._drop_oldest()

    def patched(self, decision: Decision, unix_s: float) -> None:
        """Note when a decision's scale was written, in the newest entry that asked for it."""
        ring = self._rings.get((decision.namespace, decision.revision), deque())
        for index in range(len(ring) - 1, -1, -1):
            entry = ring[index]
            if entry.desired == decision.desired and not entry.patched_unix_s:
                ring[index] = msgspec.structs.replace(entry, patched_unix_s=unix_s)
                return

    def forget(self, key: Key) -> None:
        """Drop a revision."""
        self._total -= len(self._rings.pop(key, ()))

    def _drop_oldest(self) -> None:
        key = self._order.popleft()
        ring = self._rings.get(key)
        if ring is None:
            return  # forgotten meanwhile
        ring.popleft()
        self._total -= 1
        if not ring:
            del self._rings[key]


def is_alike(one: Decision, other: Decision) -> bool:
    """Whether two decisions say the same to a reader: same number, reason and circumstances."""
    return (
        one.desired == other.desired
        and one.because is other.because
        and one.is_applied == other.is_applied
        and one.ready_pods == other.ready_pods
        and one.current_scale == other.current_scale
        and one.is_panicking == other.is_panicking
        and one.serving_mode is other.serving_mode
        and one.activity is other.activity
        and not other.is_poked
    )
