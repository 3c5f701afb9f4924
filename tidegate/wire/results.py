"""Counts finished requests by status class and reason, for Prometheus: one set of labels for all three hops.

Labels are bounded: reasons come from the closed list of contracts.outcomes or are the engine's `Failure`s, statuses are
classes. Probes are never handed in. Revisions are not labels: who wants them asks the autoscaler or the pods.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from tidegate.wire.director import Answer, Outcome

DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Results:
    """`<prefix>_requests_total` and `<prefix>_request_duration_seconds` in a registry."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            f"{prefix}_requests",
            "Requests that ended, by status class and by the reason when Tidegate answered itself.",
            ("code_class", "reason"),
            registry=registry,
        )
        self._duration = Histogram(
            f"{prefix}_request_duration_seconds",
            "From the head's arrival to the answer's last byte.",
            buckets=DURATIONS_S,
            registry=registry,
        )
        # Finding a child by its labels costs more than counting; there are few, so they are kept.
        self._children: dict[tuple[int, str], Counter] = {}

    def ended(self, outcome: Outcome) -> None:
        """Count one request."""
        key = (outcome.status // 100, reason_of(outcome))
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(f"{key[0]}xx" if key[0] else "none", key[1])
        child.inc()
        self._duration.observe(outcome.duration_s)


def reason_of(outcome: Outcome) -> str:
    """Return why Tidegate answered itself or what failed; empty for an answer of the app that ended well."""
    if outcome.failure is not None:
        return outcome.failure.value
    return outcome.direction.reason if isinstance(outcome.direction, Answer) else ""
