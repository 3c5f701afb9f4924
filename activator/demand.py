"""Tells the autoscaler what is asked of each revision: at once when somebody begins to wait, and each second what is
in flight.

The first waiter of a revision is reported in the same turn of the loop in which it arrived, and again whenever the
number in flight has doubled since (at most every 20 ms): the autoscaler decides on such a report without waiting for
its tick. These reports cover no time, so the averages that follow each second have nothing to subtract. It knows no
pods and holds nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.contracts import report, wake
from tidegate.process.level import Level
from tidegate.process.report_link import ReportLink
from tidegate.process.report_links import ReportLinks

Key = tuple[str, str]
"""(namespace, revision)"""

POKE_PAUSE_S = 0.02
STANDBY_POKE_S = 1.0
"""While standby pods take requests, the autoscaler is told again at least this far apart."""
RATE_BASE_S = 0.9
"""Arrivals of a shorter reading count over this time, as in the autoscaler."""
REPORTS_PER_FRAME = 1000


@dataclass(slots=True)
class _Seen:
    """What is known of one revision with traffic."""

    level: Level
    requests: int = 0
    history: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=report.HISTORY_S))
    poked_at: float = -1.0
    poked_with: int = 0
    is_poke_planned: bool = False


class Demand:
    """Counts requests per revision and reports them to the replica that decides for it."""

    def __init__(
        self,
        links: ReportLinks,
        clock: Callable[[], float],
        waiting: Callable[[Key], int],
        call_later: Callable[..., object] | None = None,
    ) -> None:
        """`call_later(seconds, call, *arguments)` is the event loop's unless time is simulated."""
        self._links = links
        self._call_later = call_later
        self._clock = clock
        self._waiting = waiting
        self._seen: dict[Key, _Seen] = {}
        self._sequence = 0
        self.on_asked: Callable[[Key, float], None] = lambda _key, _now: None
        """Called when the autoscaler was told that somebody waits."""
        links.on_connected = self.connected
        links.on_moved = self.repeat_pokes

    def in_flight(self, key: Key) -> int:
        """Requests of a revision in this activator, waiting or relayed."""
        seen = self._seen.get(key)
        return seen.level.value if seen else 0

    def arrived(self, key: Key, now: float) -> None:
        """Count a request that begins."""
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen(Level(now))
        seen.level.step(now, 1)
        seen.requests += 1

    def ended(self, key: Key, now: float) -> None:
        """Count a request that ended, however it did."""
        self._seen[key].level.step(now, -1)

    def began_to_wait(self, key: Key) -> None:
        """Poke the autoscaler when this is the first waiter, or when the number in flight has doubled since the last
        poke."""
        seen, now = self._seen[key], self._clock()
        is_news = self._waiting(key) <= 1 or seen.level.value >= 2 * seen.poked_with
        if not is_news or seen.is_poke_planned:
            return
        pause_s = seen.poked_at + POKE_PAUSE_S - now
        if pause_s <= 0:
            self._poke(key, seen, now)
        else:
            seen.is_poke_planned = True
            call_later = self._call_later or asyncio.get_running_loop().call_later
            call_later(pause_s, self._planned_poke, key, seen)

    def took_standby(self, key: Key) -> None:
        """Poke the autoscaler: a request waits for nobody, but only because a standby pod was there."""
        seen, now = self._seen[key], self._clock()
        pause_s = POKE_PAUSE_S if seen.level.value >= 2 * seen.poked_with else STANDBY_POKE_S
        if now - seen.poked_at >= pause_s:
            self._poke(key, seen, now)

    def connected(self, link: ReportLink) -> None:
        """Tell a fresh connection what was and who waits: the autoscaler may have been away when they came."""
        for (namespace, revision), seen in self._seen.items():
            if seen.history:
                concurrency, rps = zip(*seen.history, strict=True)
                link.send(report.History(namespace, revision, list(concurrency), list(rps)))
        self.repeat_pokes()

    def repeat_pokes(self) -> None:
        """Tell who waits: another replica may decide now."""
        now = self._clock()
        for key, seen in self._seen.items():
            if self._waiting(key):
                self._poke(key, seen, now)

    async def run(self) -> None:
        """Report each second until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + report.REPORT_INTERVAL_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self.tick()

    def tick(self) -> None:
        """Report the averages of all revisions with traffic; forget those that were idle, after one zero."""
        now = self._clock()
        reports: dict[ReportLink, list[report.Report]] = {}
        for key, seen in list(self._seen.items()):
            mean, interval_s = seen.level.read(now)
            if not (mean or seen.requests or seen.level.value):
                del self._seen[key]
            seen.history.append((round(mean, 3), round(seen.requests / max(interval_s, RATE_BASE_S), 3)))
            for link in self._links.links_for(*key):
                reports.setdefault(link, []).append(self._report(link, key, seen, mean, interval_s))
            seen.requests = 0
        for link, told in reports.items():
            for first in range(0, len(told), REPORTS_PER_FRAME):
                link.send(report.Reports(told[first : first + REPORTS_PER_FRAME]))

    def _planned_poke(self, key: Key, seen: _Seen) -> None:
        seen.is_poke_planned = False
        if self._waiting(key):
            self._poke(key, seen, self._clock())

    def _poke(self, key: Key, seen: _Seen, now: float) -> None:
        seen.poked_at, seen.poked_with = now, seen.level.value
        is_sent = False
        for link in self._links.links_for(*key):
            is_sent |= link.send(self._report(link, key, seen, float(seen.level.value), 0.0, is_first=True))
        if is_sent:
            self.on_asked(key, now)

    def tell(self, record: wake.Wake) -> None:
        """Tell the replica that decides for a revision of a wake that is over, where it knows what that is."""
        for link in self._links.links_for(record.namespace, record.revision):
            if link.peer_version >= report.WAKES_SINCE:
                link.send(record)

    def _report(
        self, link: ReportLink, key: Key, seen: _Seen, mean: float, interval_s: float, *, is_first: bool = False
    ) -> report.Report:
        self._sequence += 1
        return report.Report(
            namespace=key[0],
            revision=key[1],
            sequence=self._sequence,
            interval_s=interval_s,
            concurrency=mean,
            requests=0 if is_first else seen.requests,
            in_flight=seen.level.value,
            is_first=is_first,
            session_s=link.session_s,
        )
