"""The decisions that are remembered: of each revision those that said something new, bounded for each and for all.

A hundred thousand revisions cannot each keep a hundred decisions; together they keep the newest of all, so that what
changes is remembered and what does not costs nothing. They are kept as rows of bytes (`decision_rows`). Pure.
"""

from __future__ import annotations

from collections import deque

from autoscaler import decision_rows
from autoscaler.decision_rows import SIZE
from tidegate.contracts.decision import Decision

Key = tuple[str, str]

RING_LENGTH = 100
TOTAL_LIMIT = 50_000


class History:
    """Rings of decisions by revision; the oldest of all leaves first when there are too many."""

    def __init__(self, ring_length: int = RING_LENGTH, total_limit: int = TOTAL_LIMIT) -> None:
        self._ring_length = ring_length
        self._total_limit = total_limit
        self._rings: dict[Key, bytes] = {}
        """The rows of each revision, newest last."""
        self._order: deque[Key] = deque()
        """Whose rows they are, in the order they came, those in `_left` included."""
        self._left: dict[Key, int] = {}
        """How many rows of a revision stand in the common order that have left its ring already: its oldest."""
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def of(self, key: Key) -> list[Decision]:
        """Return what is remembered of a revision, newest last."""
        ring = self._rings.get(key, b"")
        return [decision_rows.decision_of(ring[at : at + SIZE], *key) for at in range(0, len(ring), SIZE)]

    def last(self, key: Key) -> Decision | None:
        """Return the newest one."""
        ring = self._rings.get(key)
        return decision_rows.decision_of(ring[-SIZE:], *key) if ring else None

    def was_panicking(self, key: Key) -> bool | None:
        """Return whether the newest one was made in panic; None where there is none."""
        ring = self._rings.get(key)
        return decision_rows.is_panicking(ring[-SIZE:]) if ring else None

    def keep(self, key: Key, decision: Decision) -> None:
        """Remember a decision; one that says the same as the last to a reader takes its place."""
        ring, row = self._rings.get(key, b""), decision_rows.row_of(decision)
        before = ring[-SIZE:]
        if before and decision_rows.is_alike(before, row):
            self._rings[key] = ring[:-SIZE] + decision_rows.in_place_of(before, row)
            return
        if len(ring) == self._ring_length * SIZE:
            ring = ring[SIZE:]
            self._left[key] = self._left.get(key, 0) + 1
            self._total -= 1
        self._rings[key] = ring + row
        self._order.append(key)
        self._total += 1
        while self._total > self._total_limit or len(self._order) > 2 * self._total_limit:
            self._drop_oldest()

    def patched(self, decision: Decision, unix_s: float) -> None:
        """Note when a decision's scale was written, in the newest entry that asked for it."""
        key = (decision.namespace, decision.revision)
        ring = self._rings.get(key, b"")
        for at in range(len(ring) - SIZE, -1, -SIZE):
            row = ring[at : at + SIZE]
            if decision_rows.asks_for(row, decision.desired):
                self._rings[key] = ring[:at] + decision_rows.patched(row, unix_s) + ring[at + SIZE :]
                return

    def forget(self, key: Key) -> None:
        """Drop a revision."""
        rows = len(self._rings.pop(key, b"")) // SIZE
        if rows:
            self._total -= rows
            self._left[key] = self._left.get(key, 0) + rows

    def _drop_oldest(self) -> None:
        key = self._order.popleft()
        left = self._left.get(key, 0)
        if left:
            self._left[key] = left - 1
            if left == 1:
                del self._left[key]
            return
        self._total -= 1
        ring = self._rings[key][SIZE:]
        if ring:
            self._rings[key] = ring
        else:
            del self._rings[key]


def is_alike(one: Decision, other: Decision) -> bool:
    """Whether two decisions say the same to a reader: same number, reason and circumstances."""
    return decision_rows.is_alike(decision_rows.row_of(one), decision_rows.row_of(other))
