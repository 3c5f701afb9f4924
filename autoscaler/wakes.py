"""The last wakes of each revision, as activators tell them: kept for `tidegate why --wake`, told as Events.

Bounded for each revision and for all; a wake that is told twice is kept twice. They live in this process' memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tidegate.contracts import wake
from tidegate.contracts.wake import Wake

Key = tuple[str, str]

OF_REVISION_LIMIT = 20
TOTAL_LIMIT = 5_000
REASON = "WokeUp"


class Wakes:
    """`tell` writes an Event on a revision: key, reason, message. `unix_clock` dates wakes, for people only."""

    def __init__(self, tell: Callable[[Key, str, str], None], unix_clock: Callable[[], float]) -> None:
        self._tell = tell
        self._unix_clock = unix_clock
        self._kept: deque[tuple[float, Wake]] = deque()
        self._of: dict[Key, deque[tuple[float, Wake]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, told: Wake) -> bool:
        """Remember a wake and tell it as an Event; False for one that cannot be."""
        if not wake.is_plausible(told):
            return False
        key = (told.namespace, told.revision)
        entry = (self._unix_clock(), told)
        ring = self._of.setdefault(key, deque(maxlen=OF_REVISION_LIMIT))
        ring.append(entry)
        self._kept.append(entry)
        while len(self._kept) > TOTAL_LIMIT:
            self._forget_oldest()
        self._tell(key, REASON, wake.sentence(told))
        return True

    def of(self, key: Key) -> list[dict[str, Any]]:
        """Return the wakes of a revision for JSON, the newest last; `unix_s` says when each was told."""
        return [{"unix_s": unix_s, **wake.as_document(told)} for unix_s, told in self._of.get(key, ())]

    def _forget_oldest(self) -> None:
        entry = self._kept.popleft()
        key = (entry[1].namespace, entry[1].revision)
        ring = self._of.get(key)
        if ring and ring[0] is entry:
            ring.popleft()
        if not ring:
            self._of.pop(key, None)
