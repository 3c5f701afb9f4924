"""Pictures and tracks: well-formed SVG, round ticks, bins that keep the integral however often they double."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import distributions
from loadtest.simulate import plots, sweep, tune
from loadtest.simulate.compare import Comparison, compare
from loadtest.simulate.plots import PlotError
from loadtest.simulate.policies import parse
from loadtest.simulate.pricing import Prices
from loadtest.simulate.revision import Machinery
from loadtest.simulate.run import Scenario
from loadtest.simulate.svg import clock_text, ticks, time_ticks
from loadtest.simulate.timeline import BINS, Track
from tests.support.simulations import app, area, synthetic

TEXT = "{http://www.w3.org/2000/svg}text"


def comparison(*names: str) -> Comparison:
    scenario = Scenario(synthetic("poisson:rate=3,for=120s"), app(2), Machinery(distributions.parse("2s")))
    return compare(scenario, [parse(name) for name in names], Prices(name="test", per_cpu_hour=1.0))


def test_a_comparison_is_drawn_with_a_panel_per_policy() -> None:
    outcomes = comparison("ours", "oracle").outcomes
    page = plots.comparison("a < b & c", outcomes)
    root = ElementTree.fromstring(page.render())
    texts = [element.text or "" for element in root.iter(TEXT)]
    assert "a < b & c" in texts
    assert sum(text.startswith("pods, ") for text in texts) == 2
    assert "requests per second" in texts
    assert int(root.attrib["height"]) == page.height


def test_pictures_stay_small() -> None:
    assert len(plots.comparison("t", comparison("knative", "ours").outcomes).render()) < 60_000


def test_a_sweep_is_drawn_as_dots_with_the_best_marked() -> None:
    page = plots.scatter("t", [("a=1", 1.0, 2.0), ("a=2", 2.0, 1.0)], "a=2", "cost", "wait")
    circles = [element for element in ElementTree.fromstring(page.render()).iter() if element.tag.endswith("circle")]
    assert len(circles) == 2
    assert len({circle.attrib["fill"] for circle in circles}) == 2


def test_pictures_are_written_as_svg_and_by_a_converter_as_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = plots.scatter("t", [("a", 1.0, 1.0)], "a", "x", "y")
    plots.save(page, tmp_path / "deep" / "a.svg")
    assert (tmp_path / "deep" / "a.svg").read_text() == page.render()
    converter = tmp_path / "rsvg-convert"
    converter.write_text('#!/bin/sh\ncp "$2" "${1#--output=}"\n')
    converter.chmod(converter.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    plots.save(page, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == page.render()
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_png_without_a_converter_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    page = plots.scatter("t", [], "", "x", "y")
    with pytest.raises(PlotError, match="librsvg2-bin"):
        plots.save(page, tmp_path / "a.png")
    with pytest.raises(PlotError, match=r"\.svg or \.png"):
        plots.save(page, tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("highest", "expected"), [(0, [0]), (9, [0, 2.5, 5, 7.5]), (100, [0, 25, 50, 75, 100]), (0.3, [0, 0.1, 0.2, 0.3])]
)
def test_ticks_are_round(highest: float, expected: list[float]) -> None:
    assert ticks(highest, 4) == expected


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_and_within(highest: float) -> None:
    found = ticks(highest, 4)
    assert 2 <= len(found) <= 6
    assert found[-1] <= highest * 1.001


@given(st.floats(0.1, 3e6))
def test_times_are_few_and_within(highest_s: float) -> None:
    assert 1 <= len(time_ticks(highest_s)) <= 13


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (90, "1:30"), (3600, "1:00:00"), (5405, "1:30:05")])
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@given(
    steps=st.lists(st.tuples(st.floats(0, 400), st.integers(-3, 5)), max_size=40),
    width_s=st.sampled_from([0.125, 1.0, 10.0]),
)
def test_a_tracks_bins_have_the_integral_of_its_level(steps: list[tuple[float, int]], width_s: float) -> None:
    track, now, level, expected = Track(width_s), 0.0, 0, 0.0
    for after_s, by in steps:
        expected += level * after_s
        now, level = now + after_s, max(0, level + by)
        track.to(now, level)
    track.finish(now)
    assert len(track.means) <= BINS
    assert (area(track.means, track.width_s, now) if track.means else 0.0) == pytest.approx(expected, abs=1e-6)


def test_peaks_survive_doubling() -> None:
    track = Track()
    track.to(0.5, 9)
    track.to(0.6, 0)
    track.finish(3 * BINS)
    assert track.width_s == 4
    assert (track.peaks[0], max(track.peaks[1:])) == (9, 0)


# Tables and sweeps


def test_a_table_has_a_row_per_policy_and_says_what_was_assumed() -> None:
    text = comparison("ours", "oracle").table()
    assert "pods start in 2s" in text
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["policy", "ours", "oracle"]


def test_a_sweep_tries_every_combination_and_recommends_the_cheapest_that_keeps_the_limit() -> None:
    scenario = Scenario(synthetic("mmpp:low=1,high=10,for=10m"), app(2), Machinery(distributions.parse("5s")))
    axes = [sweep.parse("min-scale=0,5"), sweep.parse("window=6s,60s")]
    found = sweep.run(scenario, axes, Prices(per_cpu_hour=1.0), limit_s=4.0)
    assert len(found.tries) == 4
    good = [one for _, one in found.tries if one.wait_s.p99 <= 4.0]
    assert good and found.is_kept
    assert found.best[1].cost == min(one.cost for one in good)
    assert found.figures().notes["recommended"] == found.best[0]
    assert 'autoscaling.knative.dev/min-scale: "' in found.text()


def test_a_sweep_that_cannot_keep_the_limit_recommends_the_least_wait_and_says_so() -> None:
    scenario = Scenario(synthetic("mmpp:for=60s"), app(1), Machinery(distributions.parse("5s")))
    found = sweep.run(scenario, [sweep.parse("containerConcurrency=1,2")], Prices(), limit_s=0.0)
    assert not found.is_kept
    assert "none keeps the limit" in found.text()
    assert found.best[1].wait_s.p99 == min(one.wait_s.p99 for _, one in found.tries)


@pytest.mark.parametrize("text", ["target", "target=", "=3", "containerConcurrency=many"])
def test_a_wrong_axis_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"sweep|whole numbers"):
        sweep.parse(text)


def test_tuning_ends_where_no_annotation_alone_does_better() -> None:
    scenario = Scenario(synthetic("mmpp:low=0,high=10,for=5m"), app(4), Machinery(distributions.parse("5s")))
    found = tune.run(scenario, Prices(per_cpu_hour=1.0), limit_s=2.0)
    tried = [tuple(sorted(one.items())) for one, _ in found.tries]
    assert len(set(tried)) == len(tried), "nothing is tried twice"
    chosen, best = found.best
    assert found.keeps(best)
    assert best.cost <= found.tries[0][1].cost or not found.keeps(found.tries[0][1])
    for axis in tune.axes_for(scenario.app):
        for value in axis.values:
            other = next((one for one in found.tries if one[0] == {**chosen, axis.name: value}), None)
            assert other is None or found.rank(other[1]) >= found.rank(best)
    assert len(found.text(3).splitlines()) < len(found.text().splitlines())
