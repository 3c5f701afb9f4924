"""When a worker that ended is started again: later each time, and not for ever (pure).

A worker that had lived for `settled_after_s` has its earlier ends forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """`most` restarts in a row; the pause before the first one, doubled with each, is `longest_pause_s` at the most."""

    most: int = 5
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    settled_after_s: float = 60.0


DEFAULT = RestartLimits()


@dataclass(slots=True)
class Restarts:
    """The ends of one model's workers in a row."""

    in_a_row: int = 0

    def ended(self, lived_s: float, limits: RestartLimits = DEFAULT) -> float | None:
        """A worker ended after `lived_s` seconds: return the pause in seconds before the next, None for no more."""
        if lived_s >= limits.settled_after_s:
            self.in_a_row = 0
        self.in_a_row += 1
        if self.in_a_row > limits.most:
            return None
        return min(limits.first_pause_s * 2.0 ** (self.in_a_row - 1), limits.longest_pause_s)
