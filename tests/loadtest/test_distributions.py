"""Distributions as a person writes them."""

from __future__ import annotations

import random

import pytest

from loadtest import distributions


@pytest.mark.parametrize(
    ("text", "mean_s"),
    [("20s", 20.0), ("exp:100ms", 0.1), ("uniform:1s,3s", 2.0), ("lognormal:2s,2s", 2.0), ("lognormal:1s,3s", 1.118)],
)
def test_draws_have_the_mean_and_the_form_is_read_back(text: str, mean_s: float) -> None:
    parsed = distributions.parse(text)
    assert parsed.mean_s == pytest.approx(mean_s, rel=1e-3)
    assert distributions.parse(str(parsed)) == parsed
    generator = random.Random(1)
    draws = [parsed.draw(generator) for _ in range(20_000)]
    assert min(draws) >= 0
    assert sum(draws) / len(draws) == pytest.approx(mean_s, rel=0.03)


def test_a_lognormal_is_told_by_median_and_99th_percentile() -> None:
    generator = random.Random(1)
    draws = sorted(distributions.parse("lognormal:10s,30s").draw(generator) for _ in range(20_000))
    assert draws[10_000] == pytest.approx(10, rel=0.03)
    assert draws[19_800] == pytest.approx(30, rel=0.08)


@pytest.mark.parametrize("text", ["", "20", "exp:", "exp:1s,2s", "uniform:3s,1s", "lognormal:3s,1s", "gauss:1s", "-1s"])
def test_what_is_no_distribution_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"distribution of times|needs"):
        distributions.parse(text)


POINTS = [(0.0, 1.0), (0.25, 2.0), (1.0, 8.0)]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.125, 1.5), (0.25, 2.0), (0.625, 5.0), (1.0, 8.0)])
def test_percentiles_are_joined_by_straight_lines(share: float, value: float) -> None:
    assert distributions.by_percentiles(POINTS, share) == value
