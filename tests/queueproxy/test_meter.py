"""The meter equals a reference integral, and counts proxied requests apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueproxy.meter import Meter


def test_one_second_with_two_then_one_request():
    meter = Meter(10.0)
    meter.arrived(10.0, is_proxied=False)
    meter.arrived(10.0, is_proxied=True)
    meter.ended(10.5, is_proxied=False)
    reading = meter.read(11.0)
    assert reading.interval_s == 1.0
    assert reading.concurrency == pytest.approx(1.5)
    assert reading.proxied_concurrency == pytest.approx(1.0)
    assert (reading.requests, reading.proxied_requests, reading.in_flight) == (2, 1, 1)
    assert not reading.is_idle


def test_a_second_without_anything_is_idle():
    meter = Meter(0.0)
    meter.arrived(0.0, is_proxied=False)
    meter.ended(0.3, is_proxied=False)
    assert not meter.read(1.0).is_idle
    assert meter.read(2.0).is_idle


def test_a_reading_of_no_time_shows_the_level():
    meter = Meter(0.0)
    meter.arrived(0.0, is_proxied=False)
    assert meter.read(0.0).concurrency == 1.0


def test_more_ends_than_arrivals_is_a_bug():
    with pytest.raises(AssertionError):
        Meter(0.0).ended(1.0, is_proxied=False)


STEPS = st.lists(st.tuples(st.floats(0.001, 5), st.booleans(), st.sampled_from(["in", "out", "read"])), max_size=60)


@given(STEPS)
def test_meter_equals_the_reference_integral(steps):
    meter, now = Meter(0.0), 0.0
    alive: list[tuple[float, bool]] = []  # since when, proxied
    spans: list[tuple[float, float, bool]] = []
    last = 0.0
    for pause, is_proxied, action in steps:
        now += pause
        if action == "in":
            meter.arrived(now, is_proxied)
            alive.append((now, is_proxied))
        elif action == "out" and alive:
            began, was_proxied = alive.pop(0)
            meter.ended(now, was_proxied)
            spans.append((began, now, was_proxied))
        elif action == "read":
            reading = meter.read(now)
            every = spans + [(began, now, proxied) for began, proxied in alive]
            overlap = [(max(0.0, min(end, now) - max(begin, last)), proxied) for begin, end, proxied in every]
            assert reading.concurrency * reading.interval_s == pytest.approx(sum(area for area, _ in overlap), abs=1e-6)
            proxied_area = sum(area for area, proxied in overlap if proxied)
            assert reading.proxied_concurrency * reading.interval_s == pytest.approx(proxied_area, abs=1e-6)
            last = now
        assert meter.in_flight == len(alive)
