"""Pushes the meter's readings to the autoscaler: each second while something happens, then one zero, then silence.

The link adds heartbeats and reconnects; nothing here ever waits for the network. What happened while there was no
connection is dropped rather than told late: a reading stands for the second it covers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queueproxy.meter import Meter, Reading
from tidegate.contracts import report
from tidegate.process.report_link import ReportLink


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
        """Say at once, on a fresh connection, what is in flight: the autoscaler may have just started."""
        self._was_idle = False

    def tick(self, now: float) -> None:
        """Read the meter and send the reading, or nothing while idle."""
        reading = self._meter.read(now)
        if reading.is_idle and self._was_idle:
            return
        self._was_idle = not self._link.is_connected or reading.is_idle
        self._send(reading)

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
            )
        )
