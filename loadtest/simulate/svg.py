"""A small writer of SVG: lines, areas, text and axes on a white page. It knows shapes, not what they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

FONT = "font-family='Helvetica, Arial, sans-serif'"
INK, PALE = "#222222", "#dddddd"

Point = tuple[float, float]


class Page:
    """A picture of `width` by `height` pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", color: str = INK) -> None:
        """Write text; `anchor` is start, middle or end."""
        how = f"font-size='{size}' text-anchor='{anchor}' fill='{color}'"
        self._parts.append(f"<text x='{x:.1f}' y='{y:.1f}' {how}>{escape(text)}</text>")

    def line(self, begin: Point, end: Point, *, color: str = PALE, width: float = 1.0) -> None:
        """Draw a straight line."""
        self._parts.append(
            f"<line x1='{begin[0]:.1f}' y1='{begin[1]:.1f}' x2='{end[0]:.1f}' y2='{end[1]:.1f}' "
            f"stroke='{color}' stroke-width='{width}'/>"
        )

    def rectangle(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle."""
        self._parts.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{color}'/>")

    def circle(self, x: float, y: float, radius: float, color: str) -> None:
        """Fill a circle."""
        self._parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='{color}'/>")

    def steps(self, points: Sequence[Point], *, color: str, floor: float | None = None, width: float = 1.2) -> None:
        """Draw a line of steps through the points; with a `floor`, fill down to it instead."""
        if not points:
            return
        path = _path(points)
        if floor is None:
            self._parts.append(f"<path d='{path}' fill='none' stroke='{color}' stroke-width='{width}'/>")
        else:
            closed = f"{path}V{floor:.1f}H{points[0][0]:.1f}Z"
            self._parts.append(f"<path d='{closed}' fill='{color}' stroke='none'/>")

    def render(self) -> str:
        """Return the document."""
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{self.width}' height='{self.height}' "
            f"viewBox='0 0 {self.width} {self.height}' {FONT} role='img'>"
        )
        page = f"<rect width='{self.width}' height='{self.height}' fill='#ffffff'/>"
        return "\n".join([head, f"<title>{escape(self._title)}</title>", page, *self._parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class Frame:
    """A plot area of a page: values are mapped linearly onto it, y upwards."""

    page: Page
    left: float
    top: float
    width: float
    height: float
    x_max: float
    y_max: float

    def at(self, x: float, y: float) -> Point:
        """Return the place of a value; what lies above the frame is drawn at its edge."""
        share = min(1.0, y / self.y_max) if self.y_max else 0.0
        return self.left + self.width * (x / self.x_max if self.x_max else 0.0), self.bottom - self.height * share

    @property
    def bottom(self) -> float:
        """The y of value 0."""
        return self.top + self.height

    def grid(self, title: str) -> None:
        """Draw horizontal lines at round values, their numbers, and the title above."""
        for value in ticks(self.y_max, 4):
            x, y = self.at(0, value)
            self.page.line((x, y), (self.left + self.width, y))
            self.page.text(x - 6, y + 4, f"{value:g}", anchor="end", size=10)
        self.page.text(self.left, self.top - 6, title, size=12)

    def minutes(self) -> None:
        """Write round times under the frame."""
        for value in time_ticks(self.x_max):
            x, _ = self.at(value, 0)
            self.page.line((x, self.bottom), (x, self.bottom + 4), color=INK)
            self.page.text(x, self.bottom + 16, clock_text(value), anchor="middle", size=10)

    def curve(self, values: Sequence[float], step: float, color: str, *, is_filled: bool = False) -> None:
        """Draw values that stand for `step` of x each, as steps."""
        points = [self.at(number * step, value) for number, value in enumerate(values)]
        if values:
            points.append(self.at(min(self.x_max, len(values) * step), values[-1]))
        self.page.steps(points, color=color, floor=self.bottom if is_filled else None)


def ticks(highest: float, number: int) -> list[float]:
    """Return about `number` round values from 0 up to `highest`."""
    if not highest > 0:
        return [0.0]
    rough = highest / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [round(count * step, 10) for count in range(int(highest / step * 1.0001) + 1)]


def time_ticks(highest_s: float) -> list[float]:
    """Return round times in seconds, at most a dozen."""
    for step in (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 604800):
        if highest_s / step <= 12:
            return [float(count * step) for count in range(int(highest_s / step) + 1)]
    return [0.0, highest_s]


def clock_text(seconds: float) -> str:
    """Return a time as a person reads it: 90 → 1:30, 5400 → 1:30:00."""
    whole = round(seconds)
    hours, minutes, left = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def _path(points: Sequence[Point]) -> str:
    """Return a path of steps; points that change nothing are left out."""
    parts = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    level = f"{points[0][1]:.1f}"
    for x, y in points[1:]:
        text = f"{y:.1f}"
        if text != level:
            parts.append(f"H{x:.1f}V{text}")
            level = text
    parts.append(f"H{points[-1][0]:.1f}")
    return "".join(parts)
