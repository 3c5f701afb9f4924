"""What the API server does by the clock: fold the store's log back, and forget Events after an hour.

Both are slow, bounded and restartable; nothing else in the server waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque

from cluster import timestamps
from cluster.api.backend import Backend
from cluster.store import Collection, Key, Stale, Store

LOOK_EVERY_S = 5.0
CHECKPOINT_WRITES = 1000
EVENTS = Collection("", "events")
EVENT_LIFETIME_S = 3600.0
EVENTS_EVERY_S = 60.0
EVENTS_AT_ONCE = 200


async def run(backend: Backend) -> None:
    """Keep house until cancelled."""
    next_events_s = 0.0
    history = History(backend.strictness.history_s)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if backend.store.writes_since_checkpoint >= CHECKPOINT_WRITES:
            await asyncio.to_thread(backend.store.checkpoint)
        now = backend.clock()
        backend.store.forget(history.forgotten(backend.store.revision, now))
        if now >= next_events_s:
            next_events_s = now + EVENTS_EVERY_S
            expire_events(backend.store, now)


class History:
    """Tells up to which revision changes are older than `age_s` seconds (None: none ever), by being asked often."""

    def __init__(self, age_s: float | None) -> None:
        self._age_s = age_s
        self._seen: deque[tuple[float, int]] = deque()

    def forgotten(self, revision: int, now_unix_s: float) -> int:
        """Note the present revision and return the newest one that is old enough, 0 when none is."""
        if self._age_s is None:
            return 0
        self._seen.append((now_unix_s, revision))
        found = 0
        while self._seen and now_unix_s - self._seen[0][0] >= self._age_s:
            found = self._seen.popleft()[1]
        return found


def expire_events(store: Store, now_unix_s: float) -> int:
    """Remove Events last seen over an hour ago, a bounded number at once; returns how many."""
    removed = 0
    for entry in store.entries(EVENTS):
        if removed >= EVENTS_AT_ONCE:
            break
        event = entry.decode()
        metadata = event["metadata"]
        seen = event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp")
        if now_unix_s - timestamps.unix_s(seen) < EVENT_LIFETIME_S:
            continue
        try:
            store.delete(Key("", "events", metadata["namespace"], metadata["name"]), entry.revision)
            removed += 1
        except Stale:
            continue
    return removed
