"""One coarse timer for thousands of deadlines: owners sleep in slots and are asked again when their slot comes.

An owner's deadline moves with every request; moving it later costs nothing, because a slot that comes too early only
asks the owner for its present deadline and files it anew. Deadlines fire up to `resolution_s` late and never early. No
task, no
`call_later` per request, and no tick at all while nothing waits.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from typing import Final, Protocol

NEVER: Final = math.inf
NO_SLOT: Final = 1 << 62


class Owner(Protocol):
    """Something with a deadline that moves."""

    filed_until: float
    """When it will be asked at the latest; `NEVER` while it is not filed. Only `Deadlines` writes it."""

    def next_deadline(self) -> float:
        """Return the present deadline (monotonic seconds), `NEVER` when there is none."""
        ...

    def expire(self, now: float) -> None:
        """Act: the deadline has passed."""
        ...


class Deadlines:
    """Slots of owners, and one timer armed for the earliest slot."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resolution_s: float = 0.05) -> None:
        self._loop = loop
        self._per_s = 1.0 / resolution_s
        self._slots: dict[int, set[Owner]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed_slot = NO_SLOT

    def __len__(self) -> int:
        return sum(len(owners) for owners in self._slots.values())

    def watch(self, owner: Owner, deadline: float) -> None:
        """File the owner for `deadline` (rounded up to a slot); an earlier filing stands."""
        if deadline >= owner.filed_until:
            return
        slot = int(deadline * self._per_s) + 1
        self.forget(owner)
        owner.filed_until = slot / self._per_s
        owners = self._slots.get(slot)
        if owners is None:
            self._slots[slot] = {owner}
            heapq.heappush(self._order, slot)
            if slot < self._armed_slot:
                self._arm(slot)
        else:
            owners.add(owner)

    def forget(self, owner: Owner) -> None:
        """Drop the owner, wherever it is filed."""
        if owner.filed_until != NEVER:
            owners = self._slots.get(round(owner.filed_until * self._per_s))
            if owners is not None:
                owners.discard(owner)
            owner.filed_until = NEVER

    def close(self) -> None:
        """Forget everything and stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._slots.clear()
        self._order.clear()

    def _arm(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_slot = slot
        delay_s = slot / self._per_s - time.monotonic()
        self._timer = self._loop.call_later(max(delay_s, 0.0), self._tick)

    def _tick(self) -> None:
        self._timer, self._armed_slot = None, NO_SLOT
        now = time.monotonic()
        while self._order and self._order[0] <= now * self._per_s:
            for owner in self._slots.pop(heapq.heappop(self._order), ()):
                if owner.filed_until != NEVER:  # an owner asked before it may have made this one leave
                    owner.filed_until = NEVER
                    self._ask(owner, now)
        # Slots whose owners all left are dropped here, so that an idle server stops ticking.
        while self._order and not self._slots.get(self._order[0], True):
            self._slots.pop(heapq.heappop(self._order))
        if self._order and self._order[0] < self._armed_slot:
            self._arm(self._order[0])

    def _ask(self, owner: Owner, now: float) -> None:
        deadline = owner.next_deadline()
        if deadline <= now:
            owner.expire(now)
        else:
            self.watch(owner, deadline)
