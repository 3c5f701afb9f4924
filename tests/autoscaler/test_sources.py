"""Many sources settled at once say what each would say alone; rows grow and are used again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.sources import BRIDGE_S, FIRST_ROWS, RATE_BASE_S, Sources
from tidegate.contracts.report import Report


@dataclass
class Alone:
    """One source, told in words: the meaning of a row."""

    is_queueproxy: bool
    covered_s: float = 0.0
    seconds: float = 0.0
    requests: float = 0.0
    concurrency: float = 0.0
    rate: float = 0.0
    reported_at: float = 0.0

    def take(self, report: Report, now: float) -> None:
        if report.interval_s == 0 and self.is_queueproxy:
            return
        self.reported_at = now
        if report.interval_s == 0:
            self.concurrency = max(self.concurrency, report.in_flight)
            return
        own = max(0.0, report.concurrency - report.proxied_concurrency)
        arrivals = max(0, report.requests - report.proxied_requests)
        self.covered_s += report.interval_s
        self.seconds += own * report.interval_s
        self.requests += arrivals
        self.concurrency, self.rate = own, arrivals / max(report.interval_s, RATE_BASE_S)

    def settle(self, now: float) -> tuple[float, float] | None:
        if self.covered_s > 0:
            said = self.seconds / self.covered_s, self.requests / max(self.covered_s, RATE_BASE_S)
            self.covered_s = self.seconds = self.requests = 0.0
            return said
        if (self.concurrency or self.rate) and now - self.reported_at < BRIDGE_S:
            return self.concurrency, self.rate
        self.concurrency = self.rate = 0.0
        return (0.0, 0.0) if self.is_queueproxy else None


LEVEL = st.floats(0, 50)
REPORTS = st.builds(
    Report,
    namespace=st.just("default"),
    revision=st.just("app"),
    sequence=st.just(1),
    interval_s=st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.1, 3.0]),
    concurrency=LEVEL,
    proxied_concurrency=LEVEL,
    requests=st.integers(0, 100),
    proxied_requests=st.integers(0, 100),
    in_flight=st.integers(0, 9),
)
STEPS = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 4), REPORTS, st.booleans()), max_size=30)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=5, max_size=5), STEPS)
def test_all_at_once_say_what_each_says_alone(kinds, steps):
    sources, now = Sources(), 100.0
    rows = [sources.open(slot, is_queueproxy=is_pod, now=now) for slot, is_pod in kinds]
    alone = [Alone(is_pod, reported_at=now) for _, is_pod in kinds]
    for gap_s, index, report, is_tick in steps:
        now += gap_s
        sources.take(rows[index], report, now)
        alone[index].take(report, now)
        if is_tick:
            concurrency, rps, said, _ = sources.settle(now, 3)
            expected = [(slot, one.settle(now)) for (slot, _), one in zip(kinds, alone, strict=True)]
            for slot in range(3):
                words = [values for where, values in expected if where == slot and values is not None]
                assert said[slot] == bool(words)
                assert concurrency[slot] == pytest.approx(sum(word[0] for word in words))
                assert rps[slot] == pytest.approx(sum(word[1] for word in words))


def test_rows_grow_beyond_the_first_and_are_used_again():
    sources = Sources()
    count = 3 * FIRST_ROWS
    rows = [sources.open(number, is_queueproxy=True, now=0.0) for number in range(count)]
    for number, row in enumerate(rows):
        sources.take(row, Report("default", "app", 1, 1.0, float(number)), 0.5)
    concurrency, _, said, _ = sources.settle(1.0, count)
    assert concurrency.tolist() == [float(number) for number in range(count)]
    assert np.all(said)
    for row in rows:
        sources.close(row)
    assert not sources.settle(2.0, count)[2].any()
    again = [sources.open(0, is_queueproxy=True, now=3.0) for _ in range(count)]
    assert sorted(again) == sorted(rows)


def test_what_a_closed_source_had_said_goes_to_nobody():
    sources = Sources()
    row = sources.open(0, is_queueproxy=True, now=0.0)
    sources.take(row, Report("default", "app", 1, 1.0, 5.0), 0.5)
    sources.close(row)
    other = sources.open(1, is_queueproxy=True, now=0.6)
    assert other != row
    concurrency, _, said, _ = sources.settle(1.0, 2)
    assert concurrency.tolist() == [0.0, 0.0]
    assert said.tolist() == [False, True]
    assert sources.open(1, is_queueproxy=True, now=1.0) == row
