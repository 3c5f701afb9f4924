"""The fleet form is the scalar form: every decision of every revision, bit for bit."""

from __future__ import annotations

import pytest

from tests.support import fleets


@pytest.mark.parametrize("seed", range(6))
def test_decisions_agree_whatever_the_loads(seed):
    assert fleets.compare_decisions(seed, revisions=100, turns=15) == 1500


@pytest.mark.parametrize("seed", range(4))
def test_decisions_on_recorded_seconds_agree(seed):
    assert fleets.compare_windows(seed, revisions=30, seconds=60) > 900
