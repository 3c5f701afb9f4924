"""What autoscaling needs to know of this pod between two reports: time-weighted concurrency and arrivals.

Pure. Queued requests count as in flight. Requests that came through an activator are also counted apart, because the
activator reports those itself and the autoscaler must not see them twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.process.level import Level


@dataclass(frozen=True, slots=True)
class Reading:
    """Means over `interval_s` seconds, arrivals in them, and what is in flight at their end."""

    interval_s: float
    concurrency: float
    proxied_concurrency: float
    requests: int
    proxied_requests: int
    in_flight: int

    @property
    def is_idle(self) -> bool:
        """Whether nothing at all happened."""
        return not (self.in_flight or self.requests or self.concurrency)


class Meter:
    """Counts requests in and out."""

    __slots__ = ("_all", "_proxied", "_proxied_requests", "_requests", "last_activity")

    def __init__(self, now: float) -> None:
        self._all = Level(now)
        self._proxied = Level(now)
        self._requests = 0
        self._proxied_requests = 0
        self.last_activity = now

    @property
    def in_flight(self) -> int:
        """Requests between arrival and end, queued ones included."""
        return self._all.value

    def arrived(self, now: float, is_proxied: bool) -> None:
        """Count a request that begins."""
        self.last_activity = now
        self._all.step(now, 1)
        self._requests += 1
        if is_proxied:
            self._proxied.step(now, 1)
            self._proxied_requests += 1

    def ended(self, now: float, is_proxied: bool) -> None:
        """Count a request that ended, however it did."""
        self.last_activity = now
        self._all.step(now, -1)
        if is_proxied:
            self._proxied.step(now, -1)

    def read(self, now: float) -> Reading:
        """Return the reading since the last one, and begin anew."""
        concurrency, interval_s = self._all.read(now)
        proxied, _ = self._proxied.read(now)
        reading = Reading(interval_s, concurrency, proxied, self._requests, self._proxied_requests, self._all.value)
        self._requests = self._proxied_requests = 0
        return reading
