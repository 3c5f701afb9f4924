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


class _Ring:
    """The decisions of one revision. `surplus`: those that have left it already and still stand in the common order."""

    __slots__ = ("decisions", "surplus")

    def __init__(self) -> None:
        # A list, as most are short: an empty deque alone takes half a kilobyte.
        self.decisions: list[Decision] = []
        self.surplus = 0


class History:
    """Rings of decisions by revision; the oldest of all leaves first when there are too many."""

    def __init__(self, ring_length: int = RING_LENGTH, total_limit: int = TOTAL_LIMIT) -> None:
        self._ring_length = ring_length
        self._total_limit = total_limit
        self._rings: dict[Key, _Ring] = {}
        self._order: deque[tuple[Key, _Ring]] = deque()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def of(self, key: Key) -> list[Decision]:
        """Return what is remembered of a revision, newest last."""
        ring = self._rings.get(key)
        return list(ring.decisions) if ring is not None else []

    def last(self, key: Key) -> Decision | None:
        """Return the newest one."""
        ring = self._rings.get(key)
        return ring.decisions[-1] if ring is not None else None

    def keep(self, key: Key, decision: Decision) -> None:
        """Remember a decision; one that says the same as the last to a reader takes its place."""
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = _Ring()
        elif is_alike(ring.decisions[-1], decision):
            before = ring.decisions[-1]
            ring.decisions[-1] = msgspec.structs.replace(
                decision, patched_unix_s=before.patched_unix_s, is_poked=before.is_poked
            )
            return
        ring.decisions.append(decision)
        self._order.append((key, ring))
        self._total += 1
        if len(ring.decisions) > self._ring_length:
            del ring.decisions[0]
            ring.surplus += 1
            self._total -= 1
        while self._total > self._total_limit or len(self._order) > 2 * self._total_limit:
            self._drop_oldest()

    def patched(self, decision: Decision, unix_s: float) -> None:
        """Note when a decision's scale was written, in the newest entry that asked for it."""
        ring = self._rings.get((decision.namespace, decision.revision))
        entries = ring.decisions if ring is not None else []
        for index in range(len(entries) - 1, -1, -1):
            if entries[index].desired == decision.desired and not entries[index].patched_unix_s:
                entries[index] = msgspec.structs.replace(entries[index], patched_unix_s=unix_s)
                return

    def forget(self, key: Key) -> None:
        """Drop a revision."""
        ring = self._rings.pop(key, None)
        if ring is not None:
            self._total -= len(ring.decisions)

    def _drop_oldest(self) -> None:
        key, ring = self._order.popleft()
        if self._rings.get(key) is not ring:
            return  # forgotten meanwhile
        if ring.surplus:
            ring.surplus -= 1
            return
        del ring.decisions[0]
        self._total -= 1
        if not ring.decisions:
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
