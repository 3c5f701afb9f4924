"""Tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, default=str))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns as kubectl prints them; empty cells show `-`."""
    lines = [[*head], *([str(cell) if cell not in (None, "") else "-" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def mebibytes(size_bytes: float) -> str:
    """Return a size in MiB with one decimal."""
    return f"{size_bytes / (1 << 20):.1f} MiB"


class Progress:
    """Numbered steps with the seconds each took; kept, so that JSON output can list them."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._last = self._started
        self.steps: list[dict[str, Any]] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step began."""
        return time.monotonic() - self._started

    def done(self, what: str) -> None:
        """Report that a step has ended."""
        now = time.monotonic()
        took_s, self._last = now - self._last, now
        self.steps.append({"step": what, "seconds": round(took_s, 3)})
        click.echo(f"[{len(self.steps)}/{self._total}] {what} ({took_s:.1f} s)", err=True)
