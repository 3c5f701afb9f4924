"""Pictures of a comparison: the load, a panel of pods per policy, and who waits; and one dot per try of a sweep."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loadtest.simulate.outcome import Outcome
from loadtest.simulate.svg import PALE, Frame, Page
from loadtest.simulate.timeline import Track

WIDTH, LEFT, RIGHT = 960, 62, 20
PANEL, GAP, HEAD = 104, 38, 66
POINTS = 600
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LOAD_COLOR, STARTING_COLOR = "#9aa5b1", "#f0c674"
CONVERTERS = (
    ("rsvg-convert", "--output={png}", "{svg}"),
    ("inkscape", "--export-filename={png}", "{svg}"),
)
CONVERT_TIMEOUT_S = 60


class PlotError(ValueError):
    """A picture cannot be written in the form asked for."""


def comparison(title: str, outcomes: Sequence[Outcome]) -> Page:
    """Return the picture of several policies on one trace."""
    page = Page(WIDTH, HEAD + (len(outcomes) + 2) * (PANEL + GAP) + 4, title)
    page.text(LEFT, 26, title, size=16)
    end_s = max(outcome.end_s for outcome in outcomes)
    first = outcomes[0].ledger
    frames = _frames(page, len(outcomes) + 2, end_s)
    arrivals = _points(first.arrivals)
    load = frames[0](max(arrivals[0], default=0.0))
    load.grid("requests per second")
    load.curve(*arrivals, LOAD_COLOR, is_filled=True)
    load.minutes()
    most = max(max(outcome.ledger.pods.peaks, default=0.0) for outcome in outcomes)
    for number, outcome in enumerate(outcomes):
        _pods(frames[number + 1](most), outcome, COLORS[number % len(COLORS)])
    _waiting(frames[-1], outcomes)
    return page


def scatter(title: str, tries: Sequence[tuple[str, float, float]], best: str, x_name: str, y_name: str) -> Page:
    """Return a picture with one labelled dot per (label, x, y); the one called `best` stands out."""
    page = Page(WIDTH, 480, title)
    page.text(LEFT, 26, title, size=16)
    x_max = max((x for _, x, _ in tries), default=1.0) * 1.15 or 1.0
    y_max = max((y for _, _, y in tries), default=1.0) * 1.1 or 1.0
    frame = Frame(page, LEFT, HEAD, WIDTH - LEFT - RIGHT, 350, x_max, y_max)
    frame.grid(y_name)
    page.text(LEFT + frame.width, frame.bottom + 34, x_name, anchor="end", size=12)
    for label, x, y in tries:
        at_x, at_y = frame.at(x, y)
        is_best = label == best
        page.circle(at_x, at_y, 6 if is_best else 4, COLORS[1] if is_best else COLORS[0])
        if is_best or len(tries) <= 24:
            page.text(at_x + 8, at_y + 4, label, size=10)
    for value in (0.0, x_max / 2, x_max):
        page.text(frame.at(value, 0)[0], frame.bottom + 16, f"{value:.3g}", anchor="middle", size=10)
    return page


def save(page: Page, path: Path) -> None:
    """Write a picture as .svg, or as .png where a converter is installed; raises PlotError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        path.write_text(page.render())
    elif path.suffix == ".png":
        _convert(page, path)
    else:
        raise PlotError(f"{path}: pictures are written as .svg or .png")


def _convert(page: Page, path: Path) -> None:
    found = next((command for command in CONVERTERS if shutil.which(command[0])), None)
    if found is None:
        raise PlotError(f"{path}: a PNG needs rsvg-convert (Debian: apt-get install librsvg2-bin); .svg needs nothing")
    source = path.with_suffix(".svg.tmp")
    source.write_text(page.render())
    try:
        command = [part.format(png=path, svg=source) for part in found]
        subprocess.run(command, check=True, capture_output=True, timeout=CONVERT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise PlotError(f"{path}: {found[0]} failed: {error}") from error
    finally:
        source.unlink()


class _FrameOf:
    """A frame whose highest value is not known yet."""

    def __init__(self, page: Page, top: float, x_max: float) -> None:
        self._page, self._top, self._x_max = page, top, x_max

    def __call__(self, highest: float) -> Frame:
        y_max = highest * 1.05 or 1.0
        return Frame(self._page, LEFT, self._top, WIDTH - LEFT - RIGHT, PANEL, self._x_max, y_max)


def _frames(page: Page, number: int, x_max: float) -> list[_FrameOf]:
    return [_FrameOf(page, HEAD + index * (PANEL + GAP), x_max) for index in range(number)]


def _pods(frame: Frame, outcome: Outcome, color: str) -> None:
    frame.curve(*_points(outcome.ledger.pods), STARTING_COLOR, is_filled=True)
    frame.curve(*_points(outcome.ledger.ready), color, is_filled=True)
    frame.grid(
        f"pods, {outcome.policy}: {outcome.pod_s / 3600:.2f} pod-hours, {outcome.cold_share:.1%} cold, "
        f"p99 wait {outcome.wait_s.p99:.2f} s"
    )
    legend = frame.left + frame.width
    page = frame.page
    page.rectangle(legend - 150, frame.top - 15, 10, 10, color)
    page.text(legend - 136, frame.top - 6, "ready", size=10)
    page.rectangle(legend - 98, frame.top - 15, 10, 10, STARTING_COLOR)
    page.text(legend - 84, frame.top - 6, "starting, stopping", size=10)
    frame.minutes()


def _waiting(frame_of: _FrameOf, outcomes: Sequence[Outcome]) -> None:
    curves = [(_points(outcome.ledger.waiting, is_peak=True), outcome) for outcome in outcomes]
    frame = frame_of(max(max(values, default=0.0) for (values, _), _ in curves))
    frame.grid("requests waiting in the activator (most in each interval)")
    for number, ((values, step), outcome) in enumerate(curves):
        color = COLORS[number % len(COLORS)]
        frame.curve(values, step, color)
        x = frame.left + frame.width - 130 * (len(curves) - number)
        frame.page.line((x, frame.top - 10), (x + 14, frame.top - 10), color=color, width=3)
        frame.page.text(x + 18, frame.top - 6, outcome.policy, size=10)
    frame.page.line((frame.left, frame.bottom), (frame.left + frame.width, frame.bottom), color=PALE)
    frame.minutes()


def _points(track: Track, *, is_peak: bool = False) -> tuple[list[float], float]:
    """Return at most `POINTS` values of a track and the seconds that each stands for."""
    values, width_s = list(track.peaks if is_peak else track.means), track.width_s
    while len(values) > POINTS:
        if len(values) % 2:
            values.append(values[-1])
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [max(pair) if is_peak else sum(pair) / 2 for pair in pairs]
        width_s *= 2
    return values, width_s
