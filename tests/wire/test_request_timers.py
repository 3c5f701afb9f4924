"""Which timer of a relayed request fires first."""

from __future__ import annotations

import math

import pytest

from tidegate.wire import request_timers
from tidegate.wire.director import NO_TIMEOUTS, Failure, Timeouts

ALL = Timeouts(response_start_s=10, idle_s=20, total_s=300)


def earliest(timeouts: Timeouts, *, begun: bool = False, last: float = 0.0, connect: float = 0.0, tunnel: float = 0.0):  # type: ignore[no-untyped-def]
    return request_timers.earliest(
        timeouts, 1000.0, has_begun=begun, last_byte_at=last, connect_until=connect, tunnel_until=tunnel
    )


def test_no_timers() -> None:
    assert earliest(NO_TIMEOUTS) == request_timers.NO_TIMER
    assert NO_TIMEOUTS.soonest_s == math.inf
    assert ALL.soonest_s == 10


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({}, (1010, Failure.TIMEOUT_START)),
        ({"begun": True, "last": 1005.0}, (1025, Failure.TIMEOUT_IDLE)),
        ({"begun": True, "last": 1290.0}, (1300, Failure.TIMEOUT_TOTAL)),
        ({"connect": 1005.0}, (1005, Failure.CONNECT)),
        ({"begun": True, "last": 1001.0, "tunnel": 1100.0}, (1100, Failure.TIMEOUT_IDLE)),
    ],
)
def test_first_of_all(case: dict[str, float], expected: tuple[float, Failure]) -> None:
    assert earliest(ALL, **case) == expected


def test_idle_without_any_byte_runs_from_arrival() -> None:
    assert earliest(Timeouts(idle_s=7)) == (1007, Failure.TIMEOUT_IDLE)


def test_response_start_ends_with_the_first_byte() -> None:
    assert earliest(Timeouts(response_start_s=7), begun=True) == request_timers.NO_TIMER
