"""A level's mean is weighted by time."""

from __future__ import annotations

import pytest

from tidegate.process.level import Level


def test_mean_over_two_readings():
    level = Level(0.0)
    level.step(0.0, 2)
    level.step(0.25, -1)
    assert level.read(1.0) == (pytest.approx(1.25), 1.0)
    assert level.read(3.0) == (1.0, 2.0)


def test_the_level_never_falls_below_zero():
    with pytest.raises(AssertionError):
        Level(0.0).step(1.0, -1)
