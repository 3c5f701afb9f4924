"""Pushes the meter's readings to the autoscaler: each second while something happens, then one zero, then silence.

The link adds heartbeats and reconnects; nothing here ever waits for the network. What happened while there was no
connection is not told late as a reading, for a reading stands for the second it covers; an autoscaler that has just
been found hears the last two minutes at once instead, as what they were.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from queueproxy.meter import Meter, Reading
from tidegate.contracts import buckets, report
from tidegate.process.report_link import ReportLink

RATE_BASE_S = 0.9
"""Arrivals of a shorter reading count over this time, as in the autoscaler."""


class Reporter:
    """Reads the meter each `report.REPORT_INTERVAL_S` and sends what is worth sending."""

    def __init__(
        self, meter: Meter, link: ReportLink, clock: Callable[[], float], *, namespace: str, revision: str
    ) -> None:
        self._meter = meter
        self._link = link
        self._clock = clock
        self._namespace = namespace
        self._revision = revision
        self._sequence = 0
        self._was_idle = True
        self._history: deque[tuple[float, float]] = deque(maxlen=report.HISTORY_S)

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # Ticks keep their rhythm when the loop was late; a missed one is skipped, never made up for.
            due = max(due + report.REPORT_INTERVAL_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self.tick(self._clock())

    def connected(self) -> None:
        """Tell a fresh connection what was, for the autoscaler may have just started; what is follows with the tick."""
        self._was_idle = False
        if any(concurrency or rps for concurrency, rps in self._history):
            concurrency, rps = zip(*self._history, strict=True)
            self._link.send(report.History(self._namespace, self._revision, list(concurrency), list(rps)))

    def owners_changed(self, owners: report.Owners) -> None:
        """Follow the revision to the replica that decides for it."""
        owner = buckets.owner_of(owners, self._namespace, self._revision)
        if owner is not None:
            self._link.move_to(owner)

    def tick(self, now: float) -> None:
        """Read the meter and send the reading, or nothing while idle."""
        reading = self._meter.read(now)
        self._remember(reading)
        if reading.is_idle and self._was_idle:
            return
        self._was_idle = not self._link.is_connected or reading.is_idle
        self._send(reading)

    def _remember(self, reading: Reading) -> None:
        requests = max(0, reading.requests - reading.proxied_requests) / max(reading.interval_s, RATE_BASE_S)
        concurrency = max(0.0, reading.concurrency - reading.proxied_concurrency)
        self._history.append((round(concurrency, 3), round(requests, 3)))

    def _send(self, reading: Reading) -> None:
        self._sequence += 1
        self._link.send(
            report.Report(
                namespace=self._namespace,
                revision=self._revision,
                sequence=self._sequence,
                interval_s=reading.interval_s,
                concurrency=reading.concurrency,
                proxied_concurrency=reading.proxied_concurrency,
                requests=reading.requests,
                proxied_requests=reading.proxied_requests,
                in_flight=reading.in_flight,
                session_s=self._link.session_s,
            )
        )
