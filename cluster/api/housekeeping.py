"""What the API server does by the clock: fold the store's log back, and forget Events after an hour.

Both are slow, bounded and restartable; nothing else in the server waits for them.
"""

from __future__ import annotations

import asyncio

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
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if backend.store.writes_since_checkpoint >= CHECKPOINT_WRITES:
            await asyncio.to_thread(backend.store.checkpoint)
        now = backend.clock()
        if now >= next_events_s:
            next_events_s = now + EVENTS_EVERY_S
            expire_events(backend.store, now)


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
