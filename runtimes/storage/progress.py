"""Tells people how far a download is: at most every two seconds, and once it is done."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

EVERY_S = 2.0


class Progress:
    """Counts bytes of one fetch; `total_bytes` is 0 when the source did not say."""

    def __init__(self, name: str, total_bytes: int) -> None:
        self._name = name
        self._total = total_bytes
        self._began = self._told = time.monotonic()
        self.done_bytes = 0

    def add(self, count: int) -> None:
        """Note `count` more bytes."""
        self.done_bytes += count
        now = time.monotonic()
        if now - self._told >= EVERY_S:
            self._told = now
            log.info("%s: %s", self._name, self.text(now))

    def text(self, now: float) -> str:
        """Return how far it is, and how fast it went so far."""
        rate = self.done_bytes / max(now - self._began, 1e-3) / 1e6
        done = f"{self.done_bytes / 1e6:.1f}"
        if not self._total:
            return f"{done} MB, {rate:.0f} MB/s"
        share = min(100, 100 * self.done_bytes // self._total)
        return f"{share} % of {self._total / 1e6:.1f} MB, {rate:.0f} MB/s"
