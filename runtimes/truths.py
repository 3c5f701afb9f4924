"""Which requests this server answered lately, and how long the truth about them took to come (pure).

Bounded: of more than `limit` requests the oldest are forgotten. A truth for one that is not known here (another pod
answered it, or long ago) is passed on as well: who collects the events joins them by their id.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict

LIMIT = 50_000
BOUNDS_S = (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)
_NAME = "model_truth_lag_seconds"


class Truths:
    """The requests of one server that wait for their truth."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._answered: OrderedDict[str, float] = OrderedDict()
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self.joined = self.unknown = 0

    def answered(self, request_id: str, unix_s: float) -> None:
        """Remember when a request was answered."""
        self._answered[request_id] = unix_s
        self._answered.move_to_end(request_id)
        if len(self._answered) > self._limit:
            self._answered.popitem(last=False)

    def take(self, request_id: str, unix_s: float) -> bool:
        """Count a truth that came at `unix_s`; returns whether its request is known here. It stays known: truths may
        be corrected."""
        at = self._answered.get(request_id)
        if at is None:
            self.unknown += 1
            return False
        lag_s = max(unix_s - at, 0.0)
        self.joined += 1
        self._sum_s += lag_s
        self._buckets[bisect_left(BOUNDS_S, lag_s)] += 1
        return True

    def render(self) -> list[str]:
        """Return its metrics in Prometheus' text form."""
        lines = ["# HELP model_truths_total Truths that were told, by whether their request is known here"]
        lines.append("# TYPE model_truths_total counter")
        lines += [f'model_truths_total{{request="{name}"}} {getattr(self, name)}' for name in ("joined", "unknown")]
        lines += [f"# HELP {_NAME} From an answer to the truth about it", f"# TYPE {_NAME} histogram"]
        total = 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'{_NAME}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{_NAME}_sum {self._sum_s:g}", f"{_NAME}_count {total}"]
