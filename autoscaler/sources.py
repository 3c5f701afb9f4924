"""Who reports, as one row of numbers each: what it said since the last second, and its last word.

The arrays hold all sources of all revisions, so that a second of a hundred thousand of them is settled in a few
milliseconds. Reports are collected as they come and written into the arrays in one go. What a row means is in `settle`.
Pure: `now` is handed in; revisions are slots (small integers), handed in as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

from tidegate.contracts.report import Report

BRIDGE_S = 2.5
RATE_BASE_S = 0.9
"""Arrivals count over this time at least: one request a moment before a report is one per second, not hundreds."""
WAITING_FRESH_S = 5.0
VALUE_LIMIT = 1e9
INTERVAL_LIMIT_S = 3600.0
INTERVAL_MIN_S = 1e-6
"""A shorter report covers no time: dividing by it would make load out of rounding."""

FIELDS = 7
BATCH = 16_384
"""Reports that are collected before they are written."""
FIRST_ROWS = 256
GROWTH = 4
"""Columns grow by one part in so many."""

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


class Sources:
    """The rows. A row is opened for a queueproxy when it connects, for an activator when it reports a revision."""

    def __init__(self) -> None:
        self.size = 0
        """Rows in use or once used; none is beyond."""
        self.implausible = 0
        self._free: list[int] = []
        self._freed: list[int] = []
        self._rows: list[int] = []
        self._values: list[float] = []
        self._pending: set[int] = set()
        self.slot: Slots = np.full(FIRST_ROWS, -1, np.int32)
        self.is_queueproxy: Flags = np.zeros(FIRST_ROWS, np.bool_)
        # Since the last second.
        self.covered_s: Floats = np.zeros(FIRST_ROWS)
        self.concurrency_seconds: Floats = np.zeros(FIRST_ROWS)
        self.requests: Floats = np.zeros(FIRST_ROWS)
        self.proxied_seconds: Floats = np.zeros(FIRST_ROWS)
        self.proxied_requests: Floats = np.zeros(FIRST_ROWS)
        # The last word, which bridges a late report.
        self.concurrency: Floats = np.zeros(FIRST_ROWS)
        self.rate: Floats = np.zeros(FIRST_ROWS)
        self.proxied: Floats = np.zeros(FIRST_ROWS)
        self.proxied_rate: Floats = np.zeros(FIRST_ROWS)
        self.in_flight: Floats = np.zeros(FIRST_ROWS)
        self.reported_at: Floats = np.zeros(FIRST_ROWS)

    def open(self, slot: int, *, is_queueproxy: bool, now: float) -> int:
        """Return the row of a new source of the revision in `slot`."""
        row = self._free.pop() if self._free else self._append()
        self.slot[row] = slot
        self.is_queueproxy[row] = is_queueproxy
        for column in self._numbers():
            column[row] = 0.0
        self.reported_at[row] = now
        return row

    def close(self, row: int) -> None:
        """Forget a source. Its row is used again only after what was collected has been written."""
        self.slot[row] = -1
        self._freed.append(row)

    def take(self, row: int, report: Report, now: float) -> None:
        """Collect one report. What cannot be a measurement is counted in `implausible`, and counts for nothing."""
        if report.interval_s < INTERVAL_MIN_S:
            self._poke(row, report, now)
            return
        self._rows.append(row)
        self._pending.add(row)
        self._values += (
            now,
            report.interval_s,
            report.concurrency,
            report.proxied_concurrency,
            report.requests,
            report.proxied_requests,
            report.in_flight,
        )
        if len(self._rows) >= BATCH:
            self.flush()

    def _poke(self, row: int, report: Report, now: float) -> None:
        """A report that covers no time: what waits is there, and stands in until the first report that covers some."""
        in_flight = report.in_flight
        if not (report.interval_s >= 0 and 0 <= in_flight <= VALUE_LIMIT):
            self.implausible += 1
            return
        if self.is_queueproxy[row]:
            return  # what a pod has in flight may have come through an activator, which tells of it
        if row in self._pending:
            self.flush()
        self.concurrency[row] = max(self.concurrency[row], in_flight)
        self.in_flight[row] = in_flight
        self.reported_at[row] = now

    def flush(self) -> None:
        """Write the collected reports into the arrays."""
        if self._rows:
            self._write(np.array(self._rows), np.array(self._values).reshape(-1, FIELDS).T)
            self._rows, self._values = [], []
            self._pending.clear()
        if self._freed:
            self._free += self._freed
            self._freed = []

    def _write(self, rows: npt.NDArray[np.int64], values: Floats) -> None:
        measures = values[1:]
        plausible = ((measures >= 0) & (measures <= VALUE_LIMIT)).all(axis=0) & (values[1] <= INTERVAL_LIMIT_S)
        if not plausible.all():
            self.implausible += int(np.count_nonzero(~plausible))
            rows, values = rows[plausible], values[:, plausible]
        now, interval_s, concurrency, proxied, requests, proxied_requests, in_flight = values
        own = np.maximum(concurrency - proxied, 0.0)
        arrivals = np.maximum(requests - proxied_requests, 0.0)
        np.add.at(self.covered_s, rows, interval_s)
        np.add.at(self.concurrency_seconds, rows, own * interval_s)
        np.add.at(self.requests, rows, arrivals)
        by_proxy = proxied > 0
        if by_proxy.any():
            np.add.at(self.proxied_seconds, rows, np.minimum(proxied, concurrency) * interval_s)
            np.add.at(self.proxied_requests, rows, np.minimum(proxied_requests, requests))
        # Where a row comes twice the later report is the last word: assignment keeps the last.
        self.concurrency[rows] = own
        self.rate[rows] = arrivals / np.maximum(interval_s, RATE_BASE_S)
        self.proxied[rows] = np.minimum(proxied, concurrency)
        self.proxied_rate[rows] = np.minimum(proxied_requests, requests) / np.maximum(interval_s, RATE_BASE_S)
        self.in_flight[rows] = in_flight
        self.reported_at[rows] = now

    def settle(
        self, now: float, slots: int, switching: Callable[[Floats, Floats], Flags] | None = None
    ) -> tuple[Floats, Floats, Flags, list[int]]:
        """Return requests in flight, requests per second and "somebody spoke" per slot, and the rows that fell silent.

        A source counts with the mean of what it reported since the last second. A late report is bridged with the one
        before for a short while, so that the jitter of two clocks never shows up as load that halves and doubles. A
        queueproxy that is connected and silent has nothing in flight: that is zero, and said. An activator that is
        silent says nothing; its row is among those returned, to be closed.

        `switching` returns the slots whose activator enters or leaves the path, given what activators hold and what the
        queueproxies got without them, per slot. There a request may be in the last report of the one that had it and in
        the first of the one that has it, so the sum of both would count it twice: counted is what the queueproxies
        serve, proxied requests included, or what the activators hold, whichever is more.
        """
        self.flush()
        size = self.size
        slot, covered = self.slot[:size], self.covered_s[:size]
        concurrency, rate = self.concurrency[:size], self.rate[:size]
        fresh = covered > 0
        age_s = now - self.reported_at[:size]
        bridged = ~fresh & ((concurrency > 0) | (rate > 0)) & (age_s < BRIDGE_S)
        ended = ~(fresh | bridged)
        concurrency[ended] = 0.0
        rate[ended] = 0.0
        is_open, is_queueproxy = slot >= 0, self.is_queueproxy[:size]
        said = is_open & (fresh | bridged | is_queueproxy)
        at = slot[said]
        mean, arrivals = self._means(fresh, self.concurrency_seconds, self.requests, concurrency, rate)
        concurrency_of = cast(Floats, np.bincount(at, mean[said], slots))
        rps_of = cast(Floats, np.bincount(at, arrivals[said], slots))
        by_activator = said & ~is_queueproxy
        held_of = cast(Floats, np.bincount(slot[by_activator], mean[by_activator], slots))
        switches = None if switching is None else switching(held_of, concurrency_of - held_of)
        if switches is not None and switches.any():
            where = np.flatnonzero(said)[switches[at]]
            concurrency_of, rps_of = self._count_once(where, fresh, ended, (mean, arrivals), (concurrency_of, rps_of))
        gone = is_open & ~is_queueproxy & (concurrency == 0) & (rate == 0)
        gone &= (self.in_flight[:size] == 0) | (age_s >= WAITING_FRESH_S)
        for column in self._sums():
            column[:size] = 0.0
        return concurrency_of, rps_of, np.bincount(at, minlength=slots) > 0, np.flatnonzero(gone).tolist()

    def _means(
        self, fresh: Flags, seconds: Floats, requests: Floats, level: Floats, rate: Floats
    ) -> tuple[Floats, Floats]:
        """Return requests in flight and per second of each row: of what it reported, or else its last word."""
        size = len(fresh)
        covered = np.where(fresh, self.covered_s[:size], 1.0)
        mean = np.where(fresh, seconds[:size] / covered, level)
        return mean, np.where(fresh, requests[:size] / np.maximum(covered, RATE_BASE_S), rate)

    def _count_once(
        self,
        rows: npt.NDArray[np.intp],
        fresh: Flags,
        ended: Flags,
        own: tuple[Floats, Floats],
        sums: tuple[Floats, Floats],
    ) -> tuple[Floats, Floats]:
        """Return the sums with those of the slots of `rows` (all that switch) replaced by the higher side."""
        size = len(fresh)
        proxied = self._means(
            fresh,
            self.proxied_seconds,
            self.proxied_requests,
            np.where(ended, 0.0, self.proxied[:size]),
            np.where(ended, 0.0, self.proxied_rate[:size]),
        )
        pods = rows[self.is_queueproxy[rows]]
        activators = rows[~self.is_queueproxy[rows]]
        counted = []
        for mine, by_proxy, total in zip(own, proxied, sums, strict=True):
            served = np.bincount(self.slot[pods], mine[pods] + by_proxy[pods], len(total))
            held = np.bincount(self.slot[activators], mine[activators], len(total))
            total = total.copy()
            total[self.slot[rows]] = np.maximum(served, held)[self.slot[rows]]
            counted.append(total)
        return counted[0], counted[1]

    def waiting(self, rows: list[int], now: float) -> int:
        """Return what the activators in `rows` have in flight by their last word, where that is recent."""
        if not self._pending.isdisjoint(rows):
            self.flush()
        return sum(int(self.in_flight[row]) for row in rows if now - self.reported_at[row] < WAITING_FRESH_S)

    def _append(self) -> int:
        row = self.size
        if row == len(self.slot):
            self._grow()
        self.size += 1
        return row

    def _grow(self) -> None:
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                setattr(self, name, np.concatenate([column, np.zeros(len(column) // GROWTH, column.dtype)]))

    def _sums(self) -> tuple[Floats, ...]:
        return (
            self.covered_s,
            self.concurrency_seconds,
            self.requests,
            self.proxied_seconds,
            self.proxied_requests,
        )

    def _numbers(self) -> tuple[Floats, ...]:
        return (*self._sums(), self.concurrency, self.rate, self.proxied, self.proxied_rate, self.in_flight)
