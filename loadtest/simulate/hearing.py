"""How reports reach the autoscaler's windows: the part of its report port that has no bytes.

One queueproxy per pod and one activator; what they say counts until they are gone.
"""

from __future__ import annotations

from autoscaler.demand import Book, Demand, Key
from tidegate.contracts.report import Report


class Hearing:
    """Who told of the load."""

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self._rows: dict[object, int] = {}
        self._book: Book = {}

    def begin(self, pod: object, key: Key, now: float) -> None:
        """A pod's queueproxy connected."""
        self._rows[pod] = self.demand.open(key, now)

    def end(self, pod: object) -> None:
        """A pod is gone; one that never connected may be named too."""
        row = self._rows.pop(pod, None)
        if row is not None:
            self.demand.close(row)

    def take(self, pod: object | None, report: Report, now: float) -> bool:
        """Take a report of a pod, or of the activator (None); False where it does not count."""
        if pod is not None:
            row = self._rows.get(pod, -1)
        else:
            key = (report.namespace, report.revision)
            known = self._book.get(key)
            row = self.demand.open_for(self._book, key, now) if known is None else known
        if row < 0:
            return False
        self.demand.sources.take(row, report, now)
        return True
