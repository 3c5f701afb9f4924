"""Figures as every benchmark prints them: one JSON object with commit, machine, rounds and bars.

A bar has a stable name, the measured value, its unit and the limit that was promised; `holds` says whether it was kept.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bar:
    """One promise: `value` must be at most `limit` (or at least, with `at_least`)."""

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Figures:
    """What one command measured: its raw rounds, and the bars computed from them."""

    rounds: list[dict[str, Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the object that `--json` prints."""
        bars = [asdict(bar) | {"value": round(bar.value, 3), "holds": bar.holds} for bar in self.bars]
        document = {
            "commit": commit(),
            "machine": machine(),
            "rounds": self.rounds,
            "bars": bars,
            "notes": self.notes,
        }
        return json.dumps(document, indent=2)

    def as_text(self) -> str:
        """Return the bars as lines for a person."""
        lines = []
        for bar in self.bars:
            word = "at least" if bar.at_least else "at most"
            mark = "ok  " if bar.holds else "MISS"
            lines.append(f"{mark} {bar.name:34} {bar.value:9.1f} {bar.unit:4} (bar: {word} {bar.limit:g} {bar.unit})")
        lines += [f"     {name}: {value}" for name, value in self.notes.items()]
        return "\n".join(lines)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0..1) of the values lie (nearest rank); raises ValueError when empty."""
    if not values:
        raise ValueError("no values were measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def machine() -> str:
    """Return what ran this: processor, cores, kernel and Python."""
    model = platform.processor() or platform.machine()
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"


def commit() -> str:
    """Return the commit of this checkout, with `+` when it has local changes; `unknown` where git cannot tell."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
