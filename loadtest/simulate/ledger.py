"""What a simulation counts: every request from arrival to answer or refusal, every second of every pod.

It only adds up. `check` holds the laws that a simulation cannot break: nothing is answered that did not arrive, and a
pod's seconds are the seconds between its creation and its end.
"""

from __future__ import annotations

from array import array
from collections import Counter

from loadtest.simulate.timeline import Track

REQUESTS_MAX = 50_000_000


class TooMany(ValueError):
    """More requests than one simulation may keep in memory (16 bytes each)."""


class Ledger:
    """Counts of one run; times in seconds."""

    def __init__(self) -> None:
        # Requests
        self.arrived = 0
        self.cold = 0
        self.refused: Counter[str] = Counter()
        self.waits_s = array("d")
        self.latencies_s = array("d")
        # Pods
        self.started = 0
        self.alive = 0
        self.peak = 0
        self.pod_s = 0.0
        self.starting_s = 0.0
        self.busy_s = 0.0
        self.decisions = 0
        # Over time
        self.arrivals = Track()
        self.in_flight = Track()
        self.waiting = Track()
        self.pods = Track()
        self.ready = Track()
        self.wanted = Track()

    @property
    def answered(self) -> int:
        """Requests that got the app's answer."""
        return len(self.latencies_s)

    @property
    def open(self) -> int:
        """Requests that are still on their way."""
        return self.arrived - self.answered - sum(self.refused.values())

    def request_arrived(self, now: float) -> None:
        """Count an arrival; raises TooMany."""
        self.arrived += 1
        if self.arrived > REQUESTS_MAX:
            raise TooMany(f"the trace has more than {REQUESTS_MAX} requests: simulate a part of it (--from, --until)")
        # Arrivals last no time: added to the integral alone, their mean is in requests per second.
        self.arrivals.step(now, 0)
        self.arrivals.add(1.0)
        self.in_flight.step(now, 1)

    def request_answered(self, now: float, wait_s: float, latency_s: float, is_cold: bool) -> None:
        """Count an answer."""
        self.waits_s.append(wait_s)
        self.latencies_s.append(latency_s)
        self.cold += is_cold
        self.in_flight.step(now, -1)

    def request_refused(self, now: float, reason: str) -> None:
        """Count a request that did not get the app's answer."""
        self.refused[reason] += 1
        self.in_flight.step(now, -1)

    def pod_created(self, now: float) -> None:
        """Count a pod that begins to start."""
        self.started += 1
        self.alive += 1
        self.peak = max(self.peak, self.alive)
        self.pods.step(now, 1)

    def pod_gone(self, now: float, life_s: float, starting_s: float, busy_s: float) -> None:
        """Count the end of a pod, and what its seconds were spent on."""
        self.alive -= 1
        self.pod_s += life_s
        self.starting_s += starting_s
        self.busy_s += busy_s
        self.pods.step(now, -1)

    def finish(self, now: float) -> None:
        """Close the tracks."""
        for track in (self.arrivals, self.in_flight, self.waiting, self.pods, self.ready, self.wanted):
            track.finish(now)

    def check(self) -> None:
        """Raise AssertionError where a law is broken; to be called when all is over."""
        assert self.open == 0, f"{self.open} requests were neither answered nor refused"
        assert self.alive == 0, f"{self.alive} pods were not accounted for"
        assert self.busy_s + self.starting_s <= self.pod_s + 1e-6 * max(1.0, self.pod_s), "pods worked before they were"
