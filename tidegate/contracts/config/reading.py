"""Reads typed keys out of one ConfigMap's data and collects what is wrong, by key.

A reader never raises for a bad value: it notes a problem and goes on with the default, so that one look tells all
that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.contracts import durations, problems, quantities
from tidegate.contracts.problems import FieldProblem


class Reader:
    """The keys of one ConfigMap. `problems` fills up while keys are read."""

    def __init__(self, config_map: Mapping[str, Any] | None) -> None:
        data = (config_map or {}).get("data") or {}
        self.data: dict[str, str] = {key: str(value) for key, value in data.items() if not key.startswith("_")}
        self.problems: list[FieldProblem] = []

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        return self.data.get(key, default).strip()

    def boolean(self, key: str, default: bool) -> bool:
        """Return a boolean: `true` or `false` in any case, anything else is a problem."""
        text = self.text(key)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if text:
            self.complain(problems.invalid(text, key))
        return default

    def quantity(self, key: str) -> str:
        """Return a Kubernetes quantity as it was written, empty when there is none."""
        text = self.text(key)
        try:
            is_good = not text or quantities.parse(text) >= 0
        except ValueError:
            is_good = False
        if not is_good:
            self.complain(problems.invalid(text, key, "write a quantity like 100m or 64Mi"))
        return text if is_good else ""

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """Return one of `allowed` (lower case, written in any case)."""
        text = self.text(key).lower()
        if text and text not in allowed:
            self.complain(problems.invalid(self.text(key), key, f"write one of: {', '.join(allowed)}"))
        return text if text in allowed else default

    def integer(self, key: str, default: int, low: int = 0, high: int = 2**31 - 1) -> int:
        """Return an integer within `low..high`."""
        text = self.text(key)
        if not text:
            return default
        try:
            value = int(text)
        except ValueError:
            self.complain(problems.invalid(text, key))
            return default
        if not low <= value <= high:
            self.complain(problems.out_of_bounds(value, low, high, key))
            return default
        return value

    def duration_s(self, key: str, default_s: float, low_s: float = 0.0) -> float:
        """Return seconds of a Go duration, not below `low_s`."""
        text = self.text(key)
        if not text:
            return default_s
        try:
            value = durations.parse_duration(text)
        except ValueError:
            self.complain(problems.invalid(text, key))
            return default_s
        if value < low_s:
            self.complain(problems.invalid(text, key, f"at least {low_s:g}s"))
            return default_s
        return value

    def complain(self, problem: FieldProblem) -> None:
        """Note a problem."""
        self.problems.append(problem)
