"""Counts and times of one model version, as the statistics extension and the metrics show them (pure).

Durations are kept in nanoseconds, as the extension wants them. Nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Duration:
    """How often something happened and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.ns += int(seconds * 1e9)

    def document(self) -> dict[str, int]:
        """Return the extension's form."""
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Statistics:
    """One model version's counters. `pending` is what is inside the server now."""

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)
    inferences: int = 0
    executions: int = 0
    last_inference_ms: int = 0
    rejected: int = 0
    cancelled: int = 0
    pending: int = 0

    def queued(self, seconds: float) -> None:
        """A request left the queue after this long."""
        self.queue.add(max(seconds, 0.0))

    def ran(self, rows: int, seconds: float, *, is_batch: bool = False) -> None:
        """The model ran once, on this many rows, for this long."""
        self.executions += 1
        self.inferences += rows
        self.compute_infer.add(seconds)
        if is_batch:
            self.batches.setdefault(rows, Duration()).add(seconds)

    def document(self, name: str, version: str) -> dict[str, Any]:
        """Return one element of `model_stats`."""
        parts = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_inference_ms,
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": {part: getattr(self, part).document() for part in parts},
            "batch_stats": [
                {"batch_size": rows, "compute_infer": duration.document()}
                for rows, duration in sorted(self.batches.items())
            ],
        }
