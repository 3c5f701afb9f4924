"""Which key is reconciled next: each at most once at a time, marked again while running runs again, failing backs off.

Pure: `now` is monotonic seconds. Size is bounded by the number of keys, which is bounded by the objects there are.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 30.0


class WorkQueue(Generic[K]):
    """A coalescing queue of keys with a delay per key that grows while it fails."""

    def __init__(self) -> None:
        self._ready: dict[K, None] = {}  # ordered: first marked, first taken
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._running) + len(self._due)

    def mark(self, key: K) -> None:
        """Ask for a key; one that is backing off keeps its delay, one that runs runs again afterwards."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._failures:
            self._due.pop(key, None)
            self._ready[key] = None

    def take(self, now: float) -> K | None:
        """Return the next key and count it as running until `succeed` or `fail`; None when nothing is due."""
        for due_key in [key for key, due in self._due.items() if due <= now]:
            del self._due[due_key]
            self._ready[due_key] = None
        key = next(iter(self._ready), None)
        if key is not None:
            del self._ready[key]
            self._running.add(key)
        return key

    def succeed(self, key: K, now: float, requeue_after_s: float = 0.0) -> None:
        """End a run that went well; `requeue_after_s` above 0 asks for the key again by itself."""
        self._failures.pop(key, None)
        if self._ended(key):
            self._ready[key] = None
        elif requeue_after_s > 0:
            self._due[key] = now + requeue_after_s

    def fail(self, key: K, now: float) -> float:
        """End a run that failed; returns the seconds until the next try."""
        self._ended(key)
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s: float = min(FIRST_BACKOFF_S * 2 ** min(failures, 20), LAST_BACKOFF_S)
        self._due[key] = now + delay_s
        return delay_s

    def next_due(self) -> float | None:
        """Return the monotonic time at which a waiting key is due, None when none waits."""
        return min(self._due.values(), default=None)

    def _ended(self, key: K) -> bool:
        assert key in self._running, f"{key} was not running"
        self._running.discard(key)
        is_marked = key in self._again
        self._again.discard(key)
        return is_marked
